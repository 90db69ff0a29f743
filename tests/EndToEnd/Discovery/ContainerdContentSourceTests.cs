using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery;
using SpegelDapr.Discovery.Containerd;
using SpegelDapr.Discovery.Content;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.EndToEnd.Discovery;

[Trait("Suite", "containerd")]
public sealed class ContainerdContentSourceTests : ContentSourceTests
{
    private const string SourceLabel = "containerd.io/distribution.source.";

    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly Containerd _containerd;
    private readonly ContainerdClient _client;
    private readonly ContainerdContentSource _source;
    private int _archives;

    public ContainerdContentSourceTests()
    {
        _containerd = new Containerd(Directory.Sub("containerd"), new Uri("http://127.0.0.1:1"), new Uri("http://127.0.0.1:1"));
        var options = Options.Create(new ContainerdOptions { Socket = _containerd.Socket, ContentPath = _containerd.ContentPath });
        _client = new ContainerdClient(options, TimeProvider.System);
        _source = new ContainerdContentSource(
            _client,
            new RegistryFilter(Options.Create(new RegistryOptions { Filters = [$"^{FilteredRegistry}/"] })),
            options,
            ActivatorUtilities.CreateInstance<DiscoveryMetrics>(_services),
            TimeProvider.System,
            NullLogger<ContainerdContentSource>.Instance);
    }

    private protected override IContentSource Source => _source;

    public override Task InitializeAsync() => _containerd.StartAsync();

    [RealFact]
    public async Task Reports_a_layer_when_its_label_follows_its_commit()
    {
        Watch();
        await HoldsAsync([]);

        var layer = await ImportLayerAsync("layer");
        await LabelAsync(layer, "docker.io", "library/app");

        await HoldsAsync([new HeldKey(layer)]);
    }

    [RealFact]
    public async Task Does_not_report_content_of_unknown_origin_or_of_a_registry_that_is_filtered_out()
    {
        Watch();
        await HoldsAsync([]);

        await ImportLayerAsync("built here");
        var secret = await ImportLayerAsync("secret");
        await LabelAsync(secret, FilteredRegistry, "app");
        var both = await ImportLayerAsync("in both registries");
        await LabelAsync(both, FilteredRegistry, "app");
        await LabelAsync(both, "docker.io", "library/app");

        await HoldsAsync([new HeldKey(both)]);
    }

    [RealFact]
    public async Task Withdraws_content_that_is_deleted_by_itself()
    {
        var layer = await ImportLayerAsync("layer");
        await LabelAsync(layer, "docker.io", "library/app");
        Watch();
        await HoldsAsync([new HeldKey(layer)]);

        await _containerd.CtrAsync("content", "rm", layer.ToString());

        await HoldsAsync([]);
    }

    [RealFact]
    public async Task Does_not_report_a_name_that_was_given_locally()
    {
        var image = LayoutImage.Create("one");
        await AddAsync(image, "docker.io/library/app:1");
        Watch();

        await _containerd.CtrAsync("images", "tag", "docker.io/library/app:1", "docker.io/library/renamed:1");
        await AddAsync(LayoutImage.Create("two"), "docker.io/library/last:1");

        await EventuallyAsync(held => held.Any(key => key.Key.ToString() == "docker.io/library/last:1"));
        Assert.DoesNotContain(Reported.TakeAll(), held => held.Key.ToString() == "docker.io/library/renamed:1");
    }

    [RealFact]
    public async Task Does_not_report_content_of_another_namespace()
    {
        Watch();
        await HoldsAsync([]);

        var elsewhere = LayoutImage.Create("elsewhere");
        var archive = await ArchiveAsync(elsewhere, "docker.io/library/elsewhere:1");
        string[] other = ["--address", _containerd.Socket, "--namespace", "other"];
        await ExternalProcess.RunAsync(ContainerdRelease.Ctr, [.. other, "images", "import", "--no-unpack", archive]);
        await ExternalProcess.RunAsync(ContainerdRelease.Ctr, [.. other, "content", "label", elsewhere.Manifest.ToString(), $"{SourceLabel}docker.io=library/elsewhere"]);
        var image = LayoutImage.Create("here");
        await AddAsync(image, "docker.io/library/app:1");

        await HoldsAsync([.. image.Digests, Tag("docker.io/library/app:1", image)]);
    }

    [RealFact]
    public async Task Survives_a_restart_and_reports_what_changed_meanwhile()
    {
        var image = LayoutImage.Create("one");
        await AddAsync(image, "docker.io/library/app:1");
        Watch();
        await HoldsAsync([.. image.Digests, Tag("docker.io/library/app:1", image)]);

        await _containerd.StopAsync();
        await Eventually.HoldsAsync("the source is away", () => !Source.IsReadable);
        Assert.Contains(Tag("docker.io/library/app:1", image), Reported.TakeAll().Select(held => held with { UpdatedAt = null }));
        await _containerd.StartAsync();
        var later = LayoutImage.Create("later");
        await AddAsync(later, "docker.io/library/later:1");

        await HoldsAsync([.. image.Digests, Tag("docker.io/library/app:1", image), .. later.Digests, Tag("docker.io/library/later:1", later)]);
        Assert.True(Source.IsReadable);
    }

    [RealFact]
    public async Task Waits_for_a_containerd_that_starts_later()
    {
        await _containerd.StopAsync();
        Watch();
        await _containerd.StartAsync();

        var layer = await ImportLayerAsync("layer");
        await LabelAsync(layer, "docker.io", "library/app");

        await HoldsAsync([new HeldKey(layer)]);
    }

    [RealFact]
    public async Task A_tag_comes_with_containerds_own_time()
    {
        var before = DateTimeOffset.UtcNow;
        await AddAsync(LayoutImage.Create("one"), "docker.io/library/app:1");
        Watch();

        await EventuallyAsync(held => held.Any(key => key.Key.IsTag));

        Assert.InRange(Reported.TakeAll().Single(held => held.Key.IsTag).UpdatedAt!.Value, before, DateTimeOffset.UtcNow);
    }

    public override async ValueTask DisposeAsync()
    {
        await _containerd.DisposeAsync();
        await base.DisposeAsync();
        _client.Dispose();
        await _services.DisposeAsync();
    }

    /// <summary>Imports the image, labels its content as a pull would, and gives it its name.</summary>
    private protected override async Task AddAsync(LayoutImage image, string reference)
    {
        var imported = $"import.test/archive:{++_archives}";
        await _containerd.CtrAsync("images", "import", "--no-unpack", await ArchiveAsync(image, imported));
        var parsed = ImageReference.Parse(reference);
        foreach (var digest in image.Blobs.Keys)
        {
            await LabelAsync(digest, parsed.Registry, parsed.Repository);
        }

        await _containerd.CtrAsync("images", "tag", "--force", imported, reference);
        await _containerd.CtrAsync("images", "rm", imported);
    }

    /// <summary>Deletes the image by both its names: the CRI plugin adds the configuration's digest as a name to each image it sees.</summary>
    private protected override async Task DeleteAsync(LayoutImage image, string reference)
    {
        await Eventually.HoldsAsync(
            "the CRI plugin has named the image",
            async () => (await _containerd.CtrAsync("images", "ls", "-q")).Contains(image.Config.ToString(), StringComparison.Ordinal));
        await _containerd.CtrAsync("images", "rm", "--sync", reference, image.Config.ToString());
    }

    private async Task<string> ArchiveAsync(LayoutImage image, string name)
    {
        var path = Directory.File($"archive-{image.Manifest.Hex}.tar");
        await image.WriteArchiveAsync(path, name);
        return path;
    }

    /// <summary>Puts a layer into containerd that says nothing of its origin, with an image of a local name, so that it is not collected.</summary>
    private async Task<Digest> ImportLayerAsync(string text)
    {
        var image = LayoutImage.Create(text);
        await _containerd.CtrAsync("images", "import", "--no-unpack", await ArchiveAsync(image, $"import.test/archive:{++_archives}"));
        return Digest.OfSha256(Encoding.UTF8.GetBytes(text));
    }

    private async Task LabelAsync(Digest digest, string registry, string repository) =>
        await _containerd.CtrAsync("content", "label", digest.ToString(), $"{SourceLabel}{registry}={repository}");
}
