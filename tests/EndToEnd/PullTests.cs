using Grpc.Core;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary>The main job: what one node has pulled, the next one gets from it.</summary>
[Trait("Suite", "containerd")]
public sealed class PullTests() : ClusterTests(nodes: 3)
{
    [RealFact]
    [Trait("Suite", "core")]
    public async Task A_neighbour_serves_what_has_been_pulled_once_also_when_the_registry_is_gone()
    {
        var image = await PullOnAsync([3 * MiB, 5 * MiB], First);
        var upstreamRequests = Cluster.Registry.BlobRequests;

        await Second.Containerd.PullAsync(image.Reference);

        Assert.Equal(upstreamRequests, Cluster.Registry.BlobRequests);
        await Second.HasServedAsync(Tier.SameZone, image.BlobBytes);
        Assert.Equal(0, await Second.ServedAsync(Tier.Local));

        await Cluster.Registry.StopAsync();
        await Third.Containerd.PullAsync(image.Reference);

        Assert.Equal(image.BlobBytes, image.Blobs.Sum(blob => new FileInfo(Third.Containerd.BlobPath(blob.Digest.ToString())).Length));
    }

    [RealFact]
    public async Task When_all_nodes_pull_at_once_the_registry_gives_each_blob_once()
    {
        // A question has half a second, and code that has never run is slow.
        await PullOnAllAtOnceAsync(await Cluster.Images.PushAsync([8 * MiB]));
        var image = await Cluster.Images.PushAsync([30 * MiB, 20 * MiB, 1 * MiB]);
        var upstreamRequests = Cluster.Registry.BlobRequests;
        var servedBefore = await ServedByNeighboursAsync();

        await PullOnAllAtOnceAsync(image);

        Assert.Equal(image.Blobs.Count, Cluster.Registry.BlobRequests - upstreamRequests);
        await Eventually.HoldsAsync(
            "the rest has come from neighbours", async () => await ServedByNeighboursAsync() - servedBefore >= image.BlobBytes * (Cluster.Nodes.Count - 1));
    }

    [RealFact]
    public async Task The_kubelets_interface_pulls_from_a_neighbour_by_tag_and_by_digest()
    {
        var image = await PullOnAsync([2 * MiB], First);
        var upstreamRequests = Cluster.Registry.BlobRequests;

        await Second.Containerd.CriPullAsync(image.Reference);
        Assert.Equal(upstreamRequests, Cluster.Registry.BlobRequests);

        await Cluster.Registry.StopAsync();
        await Third.Containerd.CriPullAsync($"{image.Reference.Split(':')[0]}@{image.Manifest}");
    }

    [RealFact]
    [Trait("Suite", "pulls")]
    public async Task A_pull_that_is_repeated_goes_on_where_it_was_and_a_neighbour_serves_the_rest()
    {
        var image = await PullOnAsync([512 * MiB], First);
        var upstreamRequests = Cluster.Registry.BlobRequests;

        await BreakOffAsync(image);
        await Second.Containerd.CriPullAsync(image.Reference);

        Assert.Equal(upstreamRequests, Cluster.Registry.BlobRequests);
        await Second.HasServedAsync(Tier.SameZone, image.BlobBytes);
        Assert.InRange(await Second.ServedAsync(Tier.SameZone), image.BlobBytes, image.BlobBytes * 3 / 2);
    }

    [RealFact]
    [Trait("Suite", "pulls")]
    public async Task A_pull_that_is_repeated_goes_on_while_the_neighbour_still_downloads()
    {
        var image = await Cluster.Images.PushAsync([512 * MiB]);
        var lead = First.Containerd.CriPullAsync(image.Reference);
        await Eventually.HoldsAsync("the layer comes", () => First.Containerd.IngestedBytes > 0);

        await BreakOffAsync(image);
        await Second.Containerd.CriPullAsync(image.Reference);
        await lead;

        Assert.Equal(image.BlobBytes, image.Blobs.Sum(blob => new FileInfo(Second.Containerd.BlobPath(blob.Digest.ToString())).Length));
    }

    [RealFact]
    public async Task A_layer_of_1_GiB_comes_from_a_neighbour_and_memory_does_not_grow_with_it()
    {
        var image = await PullOnAsync([1024 * MiB], First);
        var upstreamRequests = Cluster.Registry.BlobRequests;

        await Second.Containerd.PullAsync(image.Reference);

        Assert.Equal(upstreamRequests, Cluster.Registry.BlobRequests);
        foreach (var process in new[] { First.Blob, Second.Blob, First.Discovery, Second.Discovery })
        {
            Assert.InRange(ResidentMemory.PeakOf(process.Id), 1, 400 * MiB);
        }
    }

    [RealFact]
    public async Task Forty_layers_come_from_a_neighbour()
    {
        var image = await PullOnAsync([.. Enumerable.Range(1, 40).Select(i => i * 10_000L)], First);
        var upstreamRequests = Cluster.Registry.BlobRequests;

        await Second.Containerd.PullAsync(image.Reference);

        Assert.Equal(upstreamRequests, Cluster.Registry.BlobRequests);
    }

    [RealFact]
    public async Task An_index_and_a_docker_manifest_come_from_a_neighbour_with_the_registry_stopped()
    {
        var index = await Cluster.Images.PushAsync([MiB], asIndex: true);
        var docker = await Cluster.Images.PushAsync([MiB], asDocker: true);
        foreach (var image in new[] { index, docker })
        {
            await PullAsync(image, First);
        }

        await Cluster.Registry.StopAsync();

        await Second.Containerd.PullAsync(index.Reference);
        await Second.Containerd.PullAsync(docker.Reference);
    }

    [RealFact]
    public async Task An_image_that_is_deleted_and_garbage_collected_is_no_longer_offered()
    {
        var image = await PullOnAsync([MiB], First);

        await First.Containerd.RemoveAsync(image.Reference);

        await First.IsNotOfferedAsync([.. image.Digests, image.Tag], asker: Second);
    }

    [RealFact]
    public async Task After_a_restart_of_containerd_what_changed_in_between_is_announced()
    {
        var before = await PullOnAsync([MiB], First);

        await First.Containerd.StopAsync();
        await First.IsOfferedAsync(before.Digests);
        await First.Containerd.StartAsync();

        var after = await PullOnAsync([MiB], First);
        await First.IsOfferedAsync([.. before.Digests, .. after.Digests]);
    }

    /// <summary>Begins to pull an image on the second node, and hangs up in the middle.</summary>
    private async Task BreakOffAsync(TestImage image)
    {
        using var hangUp = new CancellationTokenSource();
        var pull = Second.Containerd.CriPullAsync(image.Reference, hangUp.Token);
        await Eventually.HoldsAsync("a tenth of the image has come", () => Second.Containerd.IngestedBytes > image.BlobBytes / 10);
        await hangUp.CancelAsync();
        await Assert.ThrowsAsync<RpcException>(() => pull);
        Assert.InRange(Second.Containerd.IngestedBytes, 1, image.BlobBytes - 1);
    }

    private Task PullOnAllAtOnceAsync(TestImage image) => Task.WhenAll(Cluster.Nodes.Select(node => node.Containerd.PullAsync(image.Reference)));

    private async Task<double> ServedByNeighboursAsync() => (await Task.WhenAll(Cluster.Nodes.Select(node => node.ServedAsync(Tier.SameZone)))).Sum();
}
