using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.EndToEnd.Lab;

namespace SpegelDapr.Benchmarks;

/// <summary>Zones whose nodes have slow links of their own, while all others are far quicker.</summary>
internal static class StormLab
{
    private const long MiB = 1024 * 1024;

    /// <summary>
    /// Code that has run little is compiled again while it runs. For the services of eight nodes this takes two cores half a minute, in which pulls wait for a core.
    /// </summary>
    private const int FirstPulls = 4;
    private const int SecondsOfFirstPull = 5;

    /// <summary>Starts zones of nodes, gives their links this rate in Mbit/s, and has them pull.</summary>
    public static async Task<ZoneLab> StartAsync(int rate, params IReadOnlyList<LabZone> zones)
    {
        var lab = await ZoneLab.StartAsync(zones, isIsolated: false, isIPv6: false, new Dictionary<string, string> { ["Zones__Mode"] = "preferred" });
        try
        {
            await LimitLinksAsync(lab, rate);
            for (var pull = 0; pull < FirstPulls; pull++)
            {
                await PullOnAllAsync(lab, SecondsOfFirstPull * rate * 1_000_000L / 8);
            }

            return lab;
        }
        catch
        {
            await lab.DisposeAsync();
            throw;
        }
    }

    /// <summary>Gives all nodes links of this rate in Mbit/s.</summary>
    public static async Task LimitLinksAsync(ZoneLab lab, int rate)
    {
        foreach (var node in lab.Cluster.Nodes)
        {
            await lab.LimitAsync(node, rate);
        }
    }

    /// <summary>Waits for services that have been started again. Code that has never run is slow.</summary>
    public static Task WarmUpAsync(ZoneLab lab) => PullOnAllAsync(lab, MiB);

    /// <summary>Has a node pull an image, and waits until all zones know.</summary>
    public static async Task<PullStorm> HoldAsync(ZoneLab lab, TestImage image, Node holder)
    {
        var held = new PullStorm(image);
        held.Start([holder]);
        await held.EndsAsync();
        foreach (var zone in lab.Cluster.Zones)
        {
            await holder.IsOfferedAsync([.. image.Digests, image.Tag], asker: zone.Nodes[0]);
        }

        return held;
    }

    /// <summary>Bytes that have come from upstream, and from zone to zone.</summary>
    public static async Task<(long Upstream, long Between)> MeasureLinksAsync(ZoneLab lab)
    {
        var upstream = await Task.WhenAll(lab.Cluster.Zones.Select(zone => lab.BytesAsync(zone, LabLink.Upstream)));
        return (upstream.Sum(link => link.Received), await lab.BytesBetweenZonesAsync());
    }

    private static async Task PullOnAllAsync(ZoneLab lab, long bytes)
    {
        await Task.WhenAll(lab.Cluster.Nodes.Select(node => node.CanResolveAsync()));
        await using var storm = new PullStorm(await lab.Cluster.Images.PushAsync([bytes / 2, bytes / 2]));
        storm.Start(lab.Cluster.Nodes);
        await storm.EndsAsync();
    }
}
