using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.Benchmarks;

/// <summary>What the services take, after small pulls and after one of 1 GiB.</summary>
internal static class Memory
{
    private const long Small = 1024 * 1024;
    private const long Large = 1024 * 1024 * 1024;

    public static async Task<IReadOnlyList<Figure>> MeasureAsync(Cluster cluster)
    {
        await PullOnBothAsync(cluster, Small);
        var before = PeaksOf(cluster);
        await PullOnBothAsync(cluster, Large);
        return [.. PeaksOf(cluster).Zip(before, (after, earlier) => new Figure(
            $"peak resident memory of {after.Service}: before and after a 1 GiB pull", $"{earlier.Bytes >> 20} → {after.Bytes >> 20} MiB", "stated", null))];
    }

    private static async Task PullOnBothAsync(Cluster cluster, long size)
    {
        var image = await cluster.Images.PushAsync([size]);
        foreach (var node in cluster.Nodes)
        {
            await node.Containerd.PullAsync(image.Reference);
            await node.IsOfferedAsync(image.Digests);
        }
    }

    private static List<(string Service, long Bytes)> PeaksOf(Cluster cluster) =>
    [
        ("the blob that serves", ResidentMemory.PeakOf(cluster.Nodes[0].Blob.Id)),
        ("the blob that pulls", ResidentMemory.PeakOf(cluster.Nodes[1].Blob.Id)),
        ("discovery", ResidentMemory.PeakOf(cluster.Nodes[0].Discovery.Id)),
        ("the resolver", ResidentMemory.PeakOf(cluster.Zones[0].Resolver.Id)),
    ];
}
