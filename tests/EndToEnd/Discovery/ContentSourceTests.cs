using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Content;
using SpegelDapr.Discovery.Publishing;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Discovery;

/// <summary>What every content source must do. A source's own tests derive from this class.</summary>
public abstract class ContentSourceTests : IAsyncLifetime, IAsyncDisposable
{
    /// <summary>A registry that the source is told not to share.</summary>
    protected const string FilteredRegistry = "secret.test";

    private readonly CancellationTokenSource _stop = new();
    private Task _watch = Task.CompletedTask;

    private protected TestDirectory Directory { get; } = new();

    /// <summary>What the source has reported up to now.</summary>
    private protected HeldContent Reported { get; } = new();

    private protected abstract IContentSource Source { get; }

    public abstract Task InitializeAsync();

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    public virtual async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _watch.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
        Directory.Dispose();
        GC.SuppressFinalize(this);
    }

    [RealFact]
    public async Task Lists_what_is_there_at_first()
    {
        var image = LayoutImage.Create("one");
        await AddAsync(image, "docker.io/library/app:1");

        Watch();

        await HoldsAsync([.. image.Digests, Tag("docker.io/library/app:1", image)]);
        Assert.True(Source.IsReadable);
    }

    [RealFact]
    public async Task Reports_an_image_that_comes()
    {
        Watch();
        await HoldsAsync([]);

        var image = LayoutImage.Create("one");
        await AddAsync(image, "docker.io/library/app:1");

        await HoldsAsync([.. image.Digests, Tag("docker.io/library/app:1", image)]);
    }

    [RealFact]
    public async Task Reports_a_tag_that_moves()
    {
        var (before, after) = (LayoutImage.Create("one"), LayoutImage.Create("two"));
        await AddAsync(before, "docker.io/library/app:1");
        Watch();
        await HoldsAsync([.. before.Digests, Tag("docker.io/library/app:1", before)]);

        await AddAsync(after, "docker.io/library/app:1");

        await EventuallyAsync(held => held.Contains(Tag("docker.io/library/app:1", after)) && after.Digests.All(held.Contains));
    }

    [RealFact]
    public async Task Withdraws_an_image_that_is_deleted()
    {
        var (kept, deleted) = (LayoutImage.Create("one"), LayoutImage.Create("two"));
        await AddAsync(kept, "docker.io/library/kept:1");
        await AddAsync(deleted, "docker.io/library/deleted:1");
        Watch();
        await HoldsAsync([.. kept.Digests, Tag("docker.io/library/kept:1", kept), .. deleted.Digests, Tag("docker.io/library/deleted:1", deleted)]);

        await DeleteAsync(deleted, "docker.io/library/deleted:1");

        await HoldsAsync([.. kept.Digests, Tag("docker.io/library/kept:1", kept)]);
    }

    [RealFact]
    public async Task Does_not_report_tags_of_a_registry_that_is_filtered_out()
    {
        var (shared, secret) = (LayoutImage.Create("one"), LayoutImage.Create("two"));
        await AddAsync(secret, $"{FilteredRegistry}/app:1");
        await AddAsync(shared, "docker.io/library/app:1");
        Watch();

        await EventuallyAsync(held => held.Contains(Tag("docker.io/library/app:1", shared)));

        Assert.DoesNotContain(Reported.TakeAll(), held => held.Key.ToString().StartsWith(FilteredRegistry, StringComparison.Ordinal));
    }

    /// <summary>Puts an image into the source as a pull of <paramref name="reference"/> does.</summary>
    private protected abstract Task AddAsync(LayoutImage image, string reference);

    /// <summary>Deletes a tag and the image's content.</summary>
    private protected abstract Task DeleteAsync(LayoutImage image, string reference);

    private protected static HeldKey Tag(string reference, LayoutImage image) => new(ContentKey.Parse(reference), image.Manifest);

    private protected void Watch() => _watch = Source.WatchAsync(change => Reported.Apply(change), _stop.Token);

    /// <summary>Waits until exactly these keys have been reported; their times apart.</summary>
    private protected Task HoldsAsync(IReadOnlyCollection<HeldKey> keys) => EventuallyAsync(held => held.SetEquals(keys));

    private protected Task EventuallyAsync(Predicate<HashSet<HeldKey>> condition) => Eventually.HoldsAsync(
        "the source reports what it holds",
        () => Reported.IsComplete && condition([.. Reported.TakeAll().Select(held => held with { UpdatedAt = null })]));
}
