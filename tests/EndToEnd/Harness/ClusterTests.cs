namespace SpegelDapr.EndToEnd.Harness;

/// <summary>Tests that each have a cluster of their own.</summary>
/// <param name="nodes">How many nodes it has.</param>
public abstract class ClusterTests(int nodes) : IAsyncLifetime
{
    private protected const long MiB = 1024 * 1024;

    private Cluster? _cluster;

    private protected Cluster Cluster => _cluster!;

    private protected Node First => Cluster.Nodes[0];

    private protected Node Second => Cluster.Nodes[1];

    private protected Node Third => Cluster.Nodes[2];

    public async Task InitializeAsync() => _cluster = await Cluster.StartAsync(nodes);

    public async Task DisposeAsync()
    {
        if (_cluster is not null)
        {
            await _cluster.DisposeAsync();
        }
    }

    /// <summary>Pushes an image, pulls it on these nodes one after the other, and waits until it is offered from each.</summary>
    private protected async Task<TestImage> PullOnAsync(IReadOnlyList<long> layerSizes, params Node[] on)
    {
        var image = await Cluster.Images.PushAsync(layerSizes);
        foreach (var node in on)
        {
            await PullAsync(image, node);
        }

        return image;
    }

    /// <summary>Pulls an image on a node, and waits until it is offered from there.</summary>
    private protected static async Task PullAsync(TestImage image, Node on)
    {
        await on.Containerd.PullAsync(image.Reference);
        await on.IsOfferedAsync([.. image.Digests, image.Tag]);
    }
}
