using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery;
using SpegelDapr.Discovery.Content;
using SpegelDapr.Discovery.OciLayout;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.EndToEnd.Discovery;

public sealed class OciLayoutContentSourceTests : ContentSourceTests
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly Dictionary<string, LayoutImage> _tags = [];
    private readonly OciLayoutContentSource _source;

    public OciLayoutContentSourceTests() => _source = new OciLayoutContentSource(
        Options.Create(new OciLayoutOptions { Path = Layout }),
        new RegistryFilter(Options.Create(new RegistryOptions { Filters = [$"^{FilteredRegistry}/"] })),
        ActivatorUtilities.CreateInstance<DiscoveryMetrics>(_services),
        TimeProvider.System,
        NullLogger<OciLayoutContentSource>.Instance);

    private protected override IContentSource Source => _source;

    private string Layout => Directory.Sub("layout");

    public override Task InitializeAsync() => File.WriteAllTextAsync(Path.Combine(Layout, "oci-layout"), """{"imageLayoutVersion":"1.0.0"}""");

    [Fact]
    public async Task Ignores_files_that_are_not_content()
    {
        var image = LayoutImage.Create("one");
        await AddAsync(image, "docker.io/library/app:1");
        await File.WriteAllTextAsync(Path.Combine(Layout, "blobs", "sha256", ".tmp-123"), "not complete");

        Watch();

        await HoldsAsync([.. image.Digests, Tag("docker.io/library/app:1", image)]);
    }

    [Fact]
    public async Task A_download_counts_when_it_is_committed_and_not_before()
    {
        var (image, other) = (LayoutImage.Create("one"), LayoutImage.Create("two"));
        await AddAsync(image, "docker.io/library/app:1");
        Watch();
        HeldKey[] before = [.. image.Digests, Tag("docker.io/library/app:1", image)];
        await HoldsAsync(before);

        var ingest = System.IO.Directory.CreateDirectory(Path.Combine(Layout, "ingest", new string('0', 64))).FullName;
        await File.WriteAllTextAsync(Path.Combine(ingest, "ref"), $"manifest-{other.Manifest}");
        await File.WriteAllBytesAsync(Path.Combine(ingest, "data"), other.Blobs[other.Manifest]);
        await WriteAsync($"blobs/sha256/{other.Config.Hex}", other.Blobs[other.Config]);
        await HoldsAsync([.. before, new HeldKey(other.Config)]);

        File.Move(Path.Combine(ingest, "data"), Path.Combine(Layout, "blobs", other.Manifest.Algorithm, other.Manifest.Hex));
        System.IO.Directory.Delete(ingest, recursive: true);

        await HoldsAsync([.. before, new HeldKey(other.Config), new HeldKey(other.Manifest)]);
    }

    [Fact]
    public async Task Ignores_tags_that_are_not_full_references_or_whose_content_is_missing()
    {
        var (image, missing) = (LayoutImage.Create("one"), LayoutImage.Create("two"));
        await AddAsync(image, "1.27");
        _tags["docker.io/library/missing:1"] = missing;
        await WriteAsync("index.json", LayoutImage.Index(_tags));

        Watch();

        await HoldsAsync([.. image.Digests]);
    }

    [Fact]
    public async Task Keeps_the_tags_while_the_index_cannot_be_parsed()
    {
        var (image, other) = (LayoutImage.Create("one"), LayoutImage.Create("two"));
        await AddAsync(image, "docker.io/library/app:1");
        Watch();
        await HoldsAsync([.. image.Digests, Tag("docker.io/library/app:1", image)]);

        await WriteAsync("index.json", "{\"schemaVersion\":2,\"mani"u8.ToArray());
        await WriteAsync($"blobs/sha256/{other.Manifest.Hex}", other.Blobs[other.Manifest]);

        await HoldsAsync([.. image.Digests, Tag("docker.io/library/app:1", image), new HeldKey(other.Manifest)]);
    }

    [Fact]
    public async Task A_tag_that_has_not_moved_keeps_its_time()
    {
        var (image, other) = (LayoutImage.Create("one"), LayoutImage.Create("two"));
        await AddAsync(image, "docker.io/library/app:1");
        Watch();
        await HoldsAsync([.. image.Digests, Tag("docker.io/library/app:1", image)]);
        var before = Reported.TakeAll().Single(held => held.Key.IsTag);

        await AddAsync(other, "docker.io/library/other:1");
        await EventuallyAsync(held => held.Contains(Tag("docker.io/library/other:1", other)));

        Assert.Equal(before, Reported.TakeAll().Single(held => held.Key == before.Key));
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        await _services.DisposeAsync();
    }

    private protected override async Task AddAsync(LayoutImage image, string reference)
    {
        foreach (var (digest, content) in image.Blobs)
        {
            await WriteAsync($"blobs/{digest.Algorithm}/{digest.Hex}", content);
        }

        _tags[reference] = image;
        await WriteAsync("index.json", LayoutImage.Index(_tags));
    }

    private protected override async Task DeleteAsync(LayoutImage image, string reference)
    {
        _tags.Remove(reference);
        await WriteAsync("index.json", LayoutImage.Index(_tags));
        foreach (var digest in image.Blobs.Keys)
        {
            File.Delete(Path.Combine(Layout, "blobs", digest.Algorithm, digest.Hex));
        }
    }

    /// <summary>Writes a file so that it appears complete, by rename.</summary>
    private async Task WriteAsync(string name, byte[] content)
    {
        var path = Path.Combine(Layout, name);
        System.IO.Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        await File.WriteAllBytesAsync(path + ".tmp", content);
        File.Move(path + ".tmp", path, overwrite: true);
    }
}
