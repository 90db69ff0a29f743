using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary>The main job: what one node has pulled, the next one gets from it.</summary>
public sealed class PullTests : IAsyncLifetime
{
    private const long MiB = 1024 * 1024;

    private Cluster? _cluster;

    private Cluster Cluster => _cluster!;

    private Node First => Cluster.Nodes[0];

    private Node Second => Cluster.Nodes[1];

    private Node Third => Cluster.Nodes[2];

    public async Task InitializeAsync() => _cluster = await Cluster.StartAsync(nodes: 3);

    public async Task DisposeAsync()
    {
        if (_cluster is not null)
        {
            await _cluster.DisposeAsync();
        }
    }

    [RealFact]
    public async Task A_neighbour_serves_what_has_been_pulled_once_also_when_the_registry_is_gone()
    {
        var images = await PullOnFirstAsync([3 * MiB, 5 * MiB]);
        var upstreamRequests = Cluster.Registry.BlobRequests;

        await Second.Containerd.PullAsync(images.Reference);

        Assert.Equal(upstreamRequests, Cluster.Registry.BlobRequests);
        Assert.True(await Second.ServedAsync(Tier.SameZone) >= images.BlobBytes);
        Assert.Equal(0, await Second.ServedAsync(Tier.Local));

        await Cluster.Registry.StopAsync();
        await Third.Containerd.PullAsync(images.Reference);

        Assert.Equal(images.BlobBytes, images.Blobs.Sum(blob => new FileInfo(Third.Containerd.BlobPath(blob.Digest.ToString())).Length));
    }

    [RealFact]
    public async Task The_kubelets_interface_pulls_from_a_neighbour_by_tag_and_by_digest()
    {
        var image = await PullOnFirstAsync([2 * MiB]);
        var upstreamRequests = Cluster.Registry.BlobRequests;

        await Second.Containerd.CriPullAsync(image.Reference);
        Assert.Equal(upstreamRequests, Cluster.Registry.BlobRequests);

        await Cluster.Registry.StopAsync();
        await Third.Containerd.CriPullAsync($"{image.Reference.Split(':')[0]}@{image.Manifest}");
    }

    [RealFact]
    public async Task A_layer_of_1_GiB_comes_from_a_neighbour_and_memory_does_not_grow_with_it()
    {
        var image = await PullOnFirstAsync([1024 * MiB]);
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
        var image = await PullOnFirstAsync([.. Enumerable.Range(1, 40).Select(i => i * 10_000L)]);
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
            await First.Containerd.PullAsync(image.Reference);
            await First.IsOfferedAsync([.. image.Digests, image.Tag]);
        }

        await Cluster.Registry.StopAsync();

        await Second.Containerd.PullAsync(index.Reference);
        await Second.Containerd.PullAsync(docker.Reference);
    }

    [RealFact]
    public async Task An_image_that_is_deleted_and_garbage_collected_is_no_longer_offered()
    {
        var image = await PullOnFirstAsync([MiB]);

        await First.Containerd.RemoveAsync(image.Reference);

        await First.IsNotOfferedAsync([.. image.Digests, image.Tag], asker: Second);
    }

    [RealFact]
    public async Task After_a_restart_of_containerd_what_changed_in_between_is_announced()
    {
        var before = await PullOnFirstAsync([MiB]);

        await First.Containerd.StopAsync();
        await First.IsOfferedAsync(before.Digests);
        await First.Containerd.StartAsync();

        var after = await PullOnFirstAsync([MiB]);
        await First.IsOfferedAsync([.. before.Digests, .. after.Digests]);
    }

    private async Task<TestImage> PullOnFirstAsync(IReadOnlyList<long> layerSizes)
    {
        var image = await Cluster.Images.PushAsync(layerSizes);
        await First.Containerd.PullAsync(image.Reference);
        await First.IsOfferedAsync([.. image.Digests, image.Tag]);
        return image;
    }
}
