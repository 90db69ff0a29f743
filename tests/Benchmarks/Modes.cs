using System.Diagnostics;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.EndToEnd.Lab;

namespace SpegelDapr.Benchmarks;

/// <summary>
/// What each mode costs in seconds and in bytes between zones, when upstream is quicker than the other zone and when it is slower: one node
/// pulls images, one after the other, that a node of another zone has.
/// </summary>
internal static class Modes
{
    private const int Pulls = 100;
    private const long LayerSize = 512 * 1024;
    private const int Layers = 2;
    private const int Slow = 20;
    private const int Fast = 200;

    private static readonly string[] All = ["isolated", "preferred", "adaptive"];

    public static async Task<IReadOnlyList<Figure>> MeasureAsync()
    {
        await using var lab = await ZoneLab.StartAsync(
            [new LabZone(Location.Parse("north/zone-a"), 1), new LabZone(Location.Parse("north/zone-b"), 1)],
            isIsolated: false,
            isIPv6: false,
            new Dictionary<string, string> { ["Zones__Mode"] = "preferred" });
        var images = await HoldAsync(lab);
        var figures = new List<Figure>();
        foreach (var (upstream, zones) in new[] { (Fast, Slow), (Slow, Fast) })
        {
            var asking = lab.Cluster.Zones[1];
            await lab.LimitAsync(asking, LabLink.Upstream, upstream);
            await lab.LimitAsync(asking, LabLink.Zones, zones);
            var measured = new Dictionary<string, (double Seconds, long Bytes)>();
            foreach (var mode in All)
            {
                await ChangeModeAsync(lab, asking, mode);
                measured[mode] = await PullAsync(lab, asking.Nodes[0], images);
            }

            var best = Math.Min(measured["isolated"].Seconds, measured["preferred"].Seconds);
            figures.AddRange(measured.Select(mode => new Figure(
                $"{Pulls} pulls of {Layers * LayerSize / 1024} KiB, upstream {upstream} and other zone {zones} Mbit/s: {mode.Key}",
                $"{mode.Value.Seconds:0.0} s, {mode.Value.Bytes / 1e6:0.0} MB between zones",
                mode.Key == "adaptive" ? $"≤ {best * 1.15:0.0} s" : "stated",
                mode.Key == "adaptive" ? mode.Value.Seconds <= best * 1.15 : null)));
        }

        return figures;
    }

    private static async Task<IReadOnlyList<TestImage>> HoldAsync(ZoneLab lab)
    {
        var (holder, asker) = (lab.Cluster.Zones[0].Nodes[0], lab.Cluster.Zones[1].Nodes[0]);
        var images = new List<TestImage>();
        for (var i = 0; i < Pulls; i++)
        {
            images.Add(await PushAsync(lab));
            await holder.Containerd.PullAsync(images[^1].Reference);
        }

        foreach (var image in images)
        {
            await holder.IsOfferedAsync(image.Digests, asker: asker);
        }

        return images;
    }

    /// <summary>Starts the zone's programs in another mode. They remember nothing.</summary>
    private static async Task ChangeModeAsync(ZoneLab lab, Zone zone, string mode)
    {
        var node = zone.Nodes[0];
        foreach (var service in new[] { zone.Resolver, node.Blob, node.Discovery })
        {
            service.Settings["Zones__Mode"] = mode;
        }

        zone.SetReach(mode == "isolated" ? [zone.Location] : [.. lab.Cluster.Zones.Select(other => other.Location)]);
        await Task.WhenAll(zone.Resolver.RestartAsync(), node.RestartAsync());
        await node.CanResolveAsync();
    }

    private static async Task<(double Seconds, long Bytes)> PullAsync(ZoneLab lab, Node asker, IReadOnlyList<TestImage> images)
    {
        // Code that has never run is slow, and of upstream nothing is known before the first pull from there.
        var first = await PushAsync(lab);
        await asker.Containerd.PullAsync(first.Reference);
        var before = await lab.BytesBetweenZonesAsync();
        var clock = Stopwatch.StartNew();
        foreach (var image in images)
        {
            await asker.Containerd.PullAsync(image.Reference);
        }

        var measured = (clock.Elapsed.TotalSeconds, await lab.BytesBetweenZonesAsync() - before);
        await asker.Containerd.RemoveAsync([first.Reference, .. images.Select(image => image.Reference)]);
        return measured;
    }

    private static Task<TestImage> PushAsync(ZoneLab lab) => lab.Cluster.Images.PushAsync([.. Enumerable.Repeat(LayerSize, Layers)]);
}
