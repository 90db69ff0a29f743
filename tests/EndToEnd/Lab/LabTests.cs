using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>Tests in a lab.</summary>
public abstract class LabTests
{
    private protected const long MiB = 1024 * 1024;

    /// <summary>Beside layers a link may carry one part in so many of an image.</summary>
    private const int MostControlShare = 100;

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

    /// <summary>Pulls an image, and asserts by the links' counters that it comes from one place alone.</summary>
    /// <param name="asker">Who pulls it.</param>
    /// <param name="image">The image.</param>
    /// <param name="source">The zone that it must come from; null for upstream.</param>
    private protected async Task AssertComesFromAsync(Node asker, TestImage image, Zone? source)
    {
        var here = Lab.Cluster.Zones.Single(zone => zone.Nodes.Contains(asker));
        var elsewhere = Lab.Cluster.Zones.Where(zone => zone != here).ToList();
        async Task<IReadOnlyList<(Zone? From, long Bytes)>> MeasureAsync()
        {
            var sent = elsewhere.Select(async zone => ((Zone?)zone, (await Lab.BytesAsync(zone, LabLink.Zones)).Sent));
            return [(null, (await Lab.BytesAsync(here, LabLink.Upstream)).Received), .. await Task.WhenAll(sent)];
        }

        var before = await MeasureAsync();
        await asker.Containerd.PullAsync(image.Reference);
        var came = (await MeasureAsync()).Zip(before, (after, earlier) => (after.From, Bytes: after.Bytes - earlier.Bytes)).ToList();

        var offered = (await asker.ResolveAsync(image.Blobs[^1].Digest))?.Keys[0].Holders.Select(holder => holder.Node.Name) ?? [];
        Assert.True(
            came.All(link => link.From == source ? link.Bytes >= image.BlobBytes : link.Bytes <= image.BlobBytes / MostControlShare),
            $"{image.BlobBytes} bytes were to come from {Name(source)}, but "
            + $"{string.Join(", ", came.Select(link => $"{link.Bytes} from {Name(link.From)}"))}. Offered are {string.Join(", ", offered)}.");
    }

    private static string Name(Zone? source) => source?.Location.ToString() ?? "upstream";
}
