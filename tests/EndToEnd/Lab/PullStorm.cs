using System.Diagnostics;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>
/// Pulls of one new image on many nodes at once. Its content is fetched but not unpacked: for many nodes on one machine that would take longer.
/// </summary>
/// <param name="image">The image.</param>
/// <param name="asKubelet">Pull as the kubelet does, which unpacks it, and fetches in parallel where containerd is told to.</param>
internal sealed class PullStorm(TestImage image, bool asKubelet = false) : IAsyncDisposable
{
    private static readonly TimeSpan RepetitionBudget = TimeSpan.FromMinutes(2);

    private readonly Dictionary<Node, (Task<TimeSpan> Pull, CancellationTokenSource Kill)> _pulls = [];
    private readonly Stopwatch _clock = new();

    /// <summary>Starts the pull on each of these nodes, and returns how long after the first the last one has started.</summary>
    public TimeSpan Start(IReadOnlyList<Node> nodes)
    {
        var before = _clock.Elapsed;
        foreach (var node in nodes)
        {
            Begin(node);
        }

        return _clock.Elapsed - before;
    }

    /// <summary>Starts the pull on these nodes, one after the other.</summary>
    public async Task StartApartAsync(IReadOnlyList<Node> nodes, TimeSpan apart)
    {
        foreach (var node in nodes)
        {
            Begin(node);
            await Task.Delay(apart);
        }
    }

    /// <summary>How long after the first pull was begun that of a node has succeeded.</summary>
    public Task<TimeSpan> EndOfAsync(Node node) => _pulls[node].Pull;

    /// <summary>Waits for the node through which a layer enters the zone, in the middle of that layer.</summary>
    public Task<(Node Node, OciDescriptor Layer)> LeadAsync() => MidwayAsync("a node leads", (node, _) => node.Parent is null);

    /// <summary>Waits for a node that leads and is followed, in the middle of the layer.</summary>
    public Task<(Node Node, OciDescriptor Layer)> FollowedLeadAsync() =>
        MidwayAsync("a node leads and is followed", (node, all) => node.Parent is null && all.Any(other => other.Parent == node.Node));

    /// <summary>Waits for a node that follows one and is followed by another, in the middle of the layer.</summary>
    public Task<(Node Node, OciDescriptor Layer)> LinkAsync() =>
        MidwayAsync("a node follows and is followed", (node, all) => node.Parent is not null && all.Any(other => other.Parent == node.Node));

    /// <summary>Kills a node's pull.</summary>
    public async Task KillAsync(Node node)
    {
        var (pull, kill) = _pulls[node];
        await kill.CancelAsync();
        await ((Task)pull).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Starts a node's pull again, which has ended.</summary>
    public void Again(Node node)
    {
        _pulls[node].Kill.Dispose();
        Begin(node);
    }

    /// <summary>Kills a node's pull in the middle of a layer, and starts it again.</summary>
    public async Task InterruptAsync(Node node)
    {
        await Eventually.HoldsAsync($"{node.Identity.Name} is in the middle of a layer", () => image.Layers.Any(layer => IsMidway(node, layer)));
        await KillAsync(node);
        Again(node);
    }

    /// <summary>Repeats a node's pull until it succeeds, as the kubelet does.</summary>
    public async Task RepeatAsync(Node node)
    {
        await Eventually.HoldsAsync(
            $"a pull of {node.Identity.Name} succeeds",
            async () =>
            {
                try
                {
                    await _pulls[node].Pull;
                    return true;
                }
                catch (Exception e) when (e is InvalidOperationException or OperationCanceledException)
                {
                    Again(node);
                    throw new IOException(e.Message, e);
                }
            },
            RepetitionBudget);
        await AssertHasAllAsync(node);
    }

    /// <summary>Waits for all pulls.</summary>
    public Task EndsAsync() => Task.WhenAll(_pulls.Values.Select(pull => pull.Pull));

    /// <summary>Asserts that each pull, but for those of some nodes, succeeds at its first attempt, and that the node has all of the image then.</summary>
    public async Task AssertSucceedsAsync(params IReadOnlyList<Node> butOn)
    {
        var others = _pulls.Where(pull => !butOn.Contains(pull.Key)).ToList();
        await Task.WhenAll(others.Select(pull => pull.Value.Pull));
        await Task.WhenAll(others.Select(pull => AssertHasAllAsync(pull.Key)));
    }

    /// <summary>What of the image a node has not got, or not with the right bytes, which are hashed here.</summary>
    public async Task<IReadOnlyList<Digest>> LacksAsync(Node node)
    {
        var listed = (await node.Containerd.CtrAsync("content", "ls", "--quiet")).Split('\n').ToHashSet();
        var lacking = new List<Digest>();
        foreach (var digest in image.Blobs.Select(blob => blob.Digest).Prepend(image.Manifest))
        {
            if (!listed.Contains(digest.ToString()) || Digest.OfSha256(await File.ReadAllBytesAsync(node.Containerd.BlobPath(digest.ToString()))) != digest)
            {
                lacking.Add(digest);
            }
        }

        return lacking;
    }

    /// <summary>Ends what still runs, and deletes the image.</summary>
    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_pulls.Keys.Select(KillAsync));
        await Task.WhenAll(_pulls.Keys.Select(node => node.Containerd.RemoveAsync(image.Reference)));
        foreach (var (_, kill) in _pulls.Values)
        {
            kill.Dispose();
        }
    }

    private void Begin(Node node)
    {
        _clock.Start();
        var kill = new CancellationTokenSource();
        _pulls[node] = (FetchAsync(node, kill.Token), kill);
    }

    private async Task<TimeSpan> FetchAsync(Node node, CancellationToken cancellation)
    {
        await (asKubelet ? node.Containerd.CriPullAsync(image.Reference, cancellation) : node.Containerd.FetchAsync(image.Reference, cancellation));
        return _clock.Elapsed;
    }

    private async Task AssertHasAllAsync(Node node) => Assert.Empty(await LacksAsync(node));

    private async Task<(Node Node, OciDescriptor Layer)> MidwayAsync(string what, Func<InFlightNode, IReadOnlyList<InFlightNode>, bool> fits)
    {
        (Node, OciDescriptor)? found = null;
        await Eventually.HoldsAsync($"{what} and is in the middle of a layer", async () =>
        {
            foreach (var layer in image.Layers)
            {
                var inFlight = await _pulls.Keys.First().InFlightAsync(layer.Digest);
                if (_pulls.Keys.FirstOrDefault(node => inFlight.Any(of => of.Node == node.Identity.Name && fits(of, inFlight)) && IsMidway(node, layer)) is { } node)
                {
                    found = (node, layer);
                    return true;
                }
            }

            return false;
        });
        return found!.Value;
    }

    private static bool IsMidway(Node node, OciDescriptor layer) =>
        node.Containerd.IngestOf(layer.Digest) is { Exists: true, Length: var length } && length > 0 && length < layer.Size / 4 * 3;
}
