using System.Diagnostics;
using System.Globalization;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.EndToEnd.Lab;

namespace SpegelDapr.Benchmarks;

/// <summary>
/// What it costs when many nodes pull the same new image at once: requests upstream, bytes between zones, and seconds against those of one node
/// alone. Every node's own link is limited, all others are far quicker. Content is fetched and not unpacked, see <see cref="PullStorm"/>. How it
/// grows from few nodes to many is measured with a quarter of the bytes at a quarter of the rate: many nodes at the full one would be limited by a
/// machine of two cores, also without the relay.
/// </summary>
internal static class Storm
{
    private const long MiB = 1024 * 1024;
    private const long LayerSize = 50 * MiB;
    private const int Layers = 4;
    private const int LinkRate = 100;
    private const int Fraction = 4;
    private const int Rounds = 3;
    private const int Few = 8;
    private const int Many = 16;

    /// <summary>The resolver's own default.</summary>
    private const int DefaultFollowers = 1;

    private const double MostAgainstAlone = 1.6;
    private const double MostCopies = 1.02;

    private static readonly double MostGrowth = Math.Log(Many) / Math.Log(Few);
    private static readonly int[] Followers = [1, 2, 4];
    private static readonly TimeSpan MostSpread = TimeSpan.FromMilliseconds(100);

    public static async Task<IReadOnlyList<Figure>> MeasureAsync() => [.. await MeasureOneZoneAsync(), .. await MeasureTwoZonesAsync()];

    private static async Task<IReadOnlyList<Figure>> MeasureOneZoneAsync()
    {
        await using var lab = await StormLab.StartAsync(LinkRate, new LabZone(Location.Parse("north/zone-a"), Many));
        var zone = lab.Cluster.Zones[0];
        var few = zone.Nodes.Take(Few).ToList();
        var runs = new List<Run>();
        async Task<IReadOnlyList<Run>> RunRoundsAsync(IReadOnlyList<Node> nodes, long layerSize = LayerSize)
        {
            var measured = new List<Run>();
            for (var round = 0; round < Rounds; round++)
            {
                measured.Add(await RunAsync(lab, nodes, layerSize));
            }

            runs.AddRange(measured);
            return measured;
        }

        var alone = Seconds(await RunRoundsAsync([zone.Nodes[0]]));
        var figures = new List<Figure> { new($"{Name(1)} alone", $"{alone:0.0} s", "stated", null) };
        foreach (var followers in Followers)
        {
            await LimitFollowersAsync(lab, followers);
            var measured = await RunRoundsAsync(few);
            var requests = measured.SelectMany(run => run.Requests).ToList();
            figures.Add(AgainstAlone($"{Name(Few)}, at most {followers} follow one", Seconds(measured), alone, MostAgainstAlone));
            figures.Add(new Figure("  GETs of each layer upstream", $"{requests.Min()} to {requests.Max()}", "1", requests.TrueForAll(count => count == 1)));
        }

        await SwitchRelayAsync(lab, few, isOn: false);
        var without = await RunAsync(lab, few, LayerSize);
        figures.Add(AgainstAlone($"{Name(Few)}, no relay: {without.Requests.Max()} GETs of each layer", without.Seconds, alone, null));

        await SwitchRelayAsync(lab, few, isOn: true);
        await StormLab.LimitLinksAsync(lab, LinkRate / Fraction);
        await LimitFollowersAsync(lab, DefaultFollowers);
        var (fewer, more) = (Seconds(await RunRoundsAsync(few, LayerSize / Fraction)), Seconds(await RunRoundsAsync(zone.Nodes, LayerSize / Fraction)));
        figures.Add(new Figure(
            $"{Name(Many, Fraction)}, at most {DefaultFollowers} follow one",
            $"{more:0.0} s, {more / fewer:0.00} × {Few} nodes",
            $"≤ {MostGrowth:0.00} ×",
            more / fewer <= MostGrowth));
        var spread = runs.Max(run => run.Spread);
        figures.Add(new Figure("pulls of a run start within", $"{spread.TotalMilliseconds:0} ms", $"≤ {MostSpread.TotalMilliseconds:0} ms", spread <= MostSpread));
        return figures;
    }

    private static async Task<IReadOnlyList<Figure>> MeasureTwoZonesAsync()
    {
        await using var lab = await StormLab.StartAsync(LinkRate, new LabZone(Location.Parse("north/zone-a"), Few / 2), new LabZone(Location.Parse("north/zone-b"), Few / 2));
        var nodes = lab.Cluster.Nodes;
        var (_, _, _, upstream, between) = await RunAsync(lab, nodes, LayerSize);
        var into = (await RunAsync(lab, [.. nodes.Skip(1)], LayerSize, holder: nodes[0])).Between;
        return
        [
            new Figure($"2 zones of {Few / 2} nodes, image in neither: from upstream", Copies(upstream), $"≤ {2 * MostCopies:0.00} copies", upstream <= 2 * MostCopies),
            new Figure("  from zone to zone", Copies(between), $"≤ {MostCopies:0.00} copies", between <= MostCopies),
            new Figure($"2 zones of {Few / 2} nodes, one node has it: into the other zone", Copies(into), $"≤ {MostCopies:0.00} copies", into <= MostCopies),
        ];
    }

    private static async Task LimitFollowersAsync(ZoneLab lab, int followers)
    {
        var resolver = lab.Cluster.Zones[0].Resolver;
        resolver.Settings["Resolver__MaxFollowers"] = followers.ToString(CultureInfo.InvariantCulture);
        await resolver.RestartAsync();
        await StormLab.WarmUpAsync(lab);
    }

    private static async Task SwitchRelayAsync(ZoneLab lab, IReadOnlyList<Node> nodes, bool isOn)
    {
        await Task.WhenAll(nodes.Select(async node =>
        {
            node.Blob.Settings["Blob__Relay"] = isOn ? "true" : "false";
            await node.Blob.RestartAsync();
            await node.AnswersAsync();
        }));
        await StormLab.WarmUpAsync(lab);
    }

    /// <summary>Has nodes pull a new image, which one may have before.</summary>
    private static async Task<Run> RunAsync(ZoneLab lab, IReadOnlyList<Node> nodes, long layerSize, Node? holder = null)
    {
        var image = await lab.Cluster.Images.PushAsync([.. Enumerable.Repeat(layerSize, Layers)]);
        await using var held = holder is null ? null : await StormLab.HoldAsync(lab, image, holder);
        await using var storm = new PullStorm(image);
        var before = await StormLab.MeasureLinksAsync(lab);
        var clock = Stopwatch.StartNew();
        var spread = storm.Start(nodes);
        await storm.EndsAsync();
        var seconds = clock.Elapsed.TotalSeconds;
        var after = await StormLab.MeasureLinksAsync(lab);
        return new Run(
            seconds,
            spread,
            [.. image.Layers.Select(layer => lab.Cluster.Registry.BlobRequestsOf(layer.Digest))],
            (after.Upstream - before.Upstream) / (double)image.BlobBytes,
            (after.Between - before.Between) / (double)image.BlobBytes);
    }

    private static Figure AgainstAlone(string name, double seconds, double alone, double? most) => new(
        name,
        $"{seconds:0.0} s, {seconds / alone:0.00} × one node",
        most is null ? "stated" : $"≤ {most:0.00} ×",
        most is null ? null : seconds / alone <= most);

    private static string Name(int nodes, int fraction = 1) =>
        $"{Layers * LayerSize / fraction / MiB} MiB over {LinkRate / fraction} Mbit/s to {nodes} {(nodes == 1 ? "node" : "nodes of a zone")}";

    private static string Copies(double copies) => $"{copies:0.000} copies";

    private static double Seconds(IEnumerable<Run> runs) => runs.Select(run => run.Seconds).Median();

    /// <summary>One image on all nodes.</summary>
    /// <param name="Seconds">Until the last has it.</param>
    /// <param name="Spread">How long after the first the last pull has started.</param>
    /// <param name="Requests">The GETs of each layer upstream.</param>
    /// <param name="Upstream">The bytes from upstream, in images.</param>
    /// <param name="Between">The bytes from zone to zone, in images.</param>
    private sealed record Run(double Seconds, TimeSpan Spread, IReadOnlyList<int> Requests, double Upstream, double Between);
}
