using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary>Holders that die, rot or fall silent.</summary>
[Trait("Suite", "containerd")]
public sealed class HolderFailureTests() : ClusterTests(nodes: 3)
{
    [RealFact]
    public async Task When_a_holder_is_killed_mid_blob_another_one_carries_on_where_it_stopped()
    {
        var image = await PullOnAsync([1024 * MiB], First, Second);
        var layer = image.Layers.Single();
        await Cluster.Registry.StopAsync();
        var servedBefore = new Dictionary<Node, double> { [First] = await First.ServedAsync(Tier.Local), [Second] = await Second.ServedAsync(Tier.Local) };

        var pull = Third.Containerd.PullAsync(image.Reference);
        await Eventually.HoldsAsync("a tenth of the layer has come", () => Third.Containerd.IngestedBytes > layer.Size / 10);
        // A holder that gives windows of the layer has it open only during each.
        Node? serving = null;
        await Eventually.HoldsAsync("a holder has the layer open", () =>
        {
            serving = new[] { First, Second }.FirstOrDefault(node => OpenFiles.Of(node.Blob.Id).Contains(node.Containerd.BlobPath(layer.Digest.ToString())));
            return serving is not null;
        });
        await serving!.Blob.KillAsync();
        await pull;

        var survivor = serving == First ? Second : First;
        Assert.InRange(await survivor.ServedAsync(Tier.Local) - servedBefore[survivor], 1, layer.Size - 1);
    }

    [RealFact]
    public async Task A_holder_whose_copy_has_rotted_serves_no_byte_of_it()
    {
        var image = await PullOnAsync([20 * MiB], First, Second);
        var layer = image.Layers.Single();
        Rot.FlipByte(First.Containerd.BlobPath(layer.Digest.ToString()), layer.Size / 2);
        var upstreamRequests = Cluster.Registry.BlobRequests;
        var servedBefore = await First.ServedAsync(Tier.Local);

        await Third.Containerd.PullAsync(image.Reference);

        Assert.Equal(layer.Digest, Digest.OfSha256(await File.ReadAllBytesAsync(Third.Containerd.BlobPath(layer.Digest.ToString()))));
        Assert.Equal(upstreamRequests, Cluster.Registry.BlobRequests);
        Assert.InRange(await First.ServedAsync(Tier.Local) - servedBefore, 0, layer.Size / 2);
    }

    [RealFact]
    public async Task When_the_only_holder_has_rotted_the_pull_goes_upstream()
    {
        var image = await PullOnAsync([20 * MiB], First);
        var layer = image.Layers.Single();
        Rot.FlipByte(First.Containerd.BlobPath(layer.Digest.ToString()), layer.Size - 1);

        await Third.Containerd.PullAsync(image.Reference);

        Assert.Equal(layer.Digest, Digest.OfSha256(await File.ReadAllBytesAsync(Third.Containerd.BlobPath(layer.Digest.ToString()))));
    }

    [RealFact]
    [Trait("Suite", "core")]
    public async Task A_node_that_falls_silent_is_no_longer_offered_after_its_lease_and_pulls_in_between_succeed()
    {
        var image = await PullOnAsync([5 * MiB], First);

        await Task.WhenAll(First.Discovery.KillAsync(), First.Blob.KillAsync());
        await Second.Containerd.PullAsync(image.Reference);

        await First.IsNotOfferedAsync(image.Digests, asker: Third, Cluster.LeaseDuration + Cluster.HeartbeatInterval);
    }

    [RealFact]
    public async Task A_node_that_leaves_is_no_longer_offered_at_once()
    {
        var image = await PullOnAsync([MiB], First);

        await First.Discovery.StopAsync();

        await First.IsNotOfferedAsync(image.Digests, asker: Third, Cluster.LeaseDuration / 2);
    }
}
