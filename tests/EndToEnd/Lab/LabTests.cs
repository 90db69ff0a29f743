using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>Tests in a lab.</summary>
public abstract class LabTests
{
    private protected const long MiB = 1024 * 1024;

    private protected LabTests(ZoneLabFixture fixture) => Lab = fixture.Lab;

    private protected ZoneLab Lab { get; }

    private protected Zone ZoneA => Lab.Cluster.Zones[0];

    private protected Zone ZoneB => Lab.Cluster.Zones[1];

    private protected Zone ZoneC => Lab.Cluster.Zones[2];

    private protected Task<TestImage> PushAsync(params IReadOnlyList<long> layerSizes) => Lab.Cluster.Images.PushAsync(layerSizes);

    /// <summary>Pulls an image on a node, and waits until it is offered from there to these nodes, by default to itself.</summary>
    private protected static async Task HoldAsync(TestImage image, Node on, params IReadOnlyList<Node> askers)
    {
        await on.Containerd.PullAsync(image.Reference);
        foreach (var asker in askers.DefaultIfEmpty(on))
        {
            await on.IsOfferedAsync([.. image.Digests, image.Tag], asker: asker);
        }
    }

    /// <summary>How many bytes <paramref name="measure"/> has grown by meanwhile.</summary>
    private protected static async Task<long> GrowthAsync(Func<Task<long>> measure, Func<Task> meanwhile)
    {
        var before = await measure();
        await meanwhile();
        return await measure() - before;
    }

    /// <summary>What a node has pulled from each tier meanwhile.</summary>
    private protected static async Task<IReadOnlyDictionary<Tier, double>> PulledAsync(Node node, Func<Task> meanwhile)
    {
        var tiers = new[] { Tier.SameZone, Tier.SameRegion, Tier.CrossRegion };
        var before = new Dictionary<Tier, double>();
        foreach (var tier in tiers)
        {
            before[tier] = await node.ServedAsync(tier);
        }

        await meanwhile();
        var pulled = new Dictionary<Tier, double>();
        foreach (var tier in tiers)
        {
            pulled[tier] = await node.ServedAsync(tier) - before[tier];
        }

        return pulled;
    }

    /// <summary>At most what control traffic may take of a link while an image is pulled.</summary>
    private protected static void AssertCarriedNoLayer(long bytes, TestImage image) => Assert.InRange(bytes, 0, image.BlobBytes / 100);
}
