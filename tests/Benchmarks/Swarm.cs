using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.EndToEnd.Lab;

namespace SpegelDapr.Benchmarks;

/// <summary>
/// What one slow node, and one popular one, cost the others of their zone when many pull the same image: their slowest, against one node alone and against
/// the same nodes without the slow one. Content is fetched and not unpacked, see <see cref="PullStorm"/>.
/// </summary>
internal static class Swarm
{
    private const long MiB = 1024 * 1024;
    private const long LayerSize = 50 * MiB;
    private const int Layers = 2;
    private const int LinkRate = 100;
    private const int SlowPart = 10;
    private const int Few = 8;
    private const int Many = 16;

    /// <summary>Many nodes at the full rate would be limited by a machine of two cores: they get a part of the bytes at a part of the rate.</summary>
    private const int Fraction = 5;

    private const int Rounds = 3;
    private const double MostWithSlow = 1.6;
    private const double MostWithTwoSlow = 1.8;
    private const double MostCold = 1.15;
    private const double MostHeld = 1.3;
    private const double MostWithSlowLead = 2;
    private const double OneCopy = 1.02;
    private const double TwoCopies = 2.05;
    private const double NoCopy = 0.02;

    private static readonly TimeSpan Apart = TimeSpan.FromMilliseconds(200);

    public static async Task<IReadOnlyList<Figure>> MeasureAsync() => [.. await MeasureFewAsync(), .. await MeasureManyAsync()];

    private static async Task<IReadOnlyList<Figure>> MeasureFewAsync()
    {
        await using var lab = await StormLab.StartAsync(LinkRate, new LabZone(Location.Parse("north/zone-a"), Few));
        var nodes = lab.Cluster.Zones[0].Nodes;
        var others = nodes.Skip(1).ToList();
        var alone = await RunRoundsAsync(lab, [nodes[0]]);
        var cold = await RunRoundsAsync(lab, nodes);
        var apart = await RunRoundsAsync(lab, nodes, apart: Apart);
        var figures = new List<Figure>
        {
            new($"{Layers * LayerSize / MiB} MiB over {LinkRate} Mbit/s to one node alone", $"{alone.Seconds:0.0} s", "stated", null),
            Compare($"{Few} nodes, nobody has it", cold, alone, MostCold, "one node", OneCopy),
            Compare($"{Few} nodes, one after the other", apart, alone, null, "one node", OneCopy),
            Compare($"one node has it, {others.Count} pull together", await RunRoundsAsync(lab, others, holder: nodes[0]), alone, MostHeld, "one node", NoCopy),
            Compare($"one node at a tenth of the rate has it, {others.Count} pull together", await RunRoundsAsync(lab, others, holder: nodes[0], isHolderSlow: true), alone, MostWithSlow, "one node", TwoCopies),
        };
        foreach (var (place, index) in new[] { ("third", 2), ("first", 0), ("last", Few - 1) })
        {
            var slow = nodes[index];
            await lab.LimitAsync(slow, LinkRate / SlowPart);
            var slowApart = await RunRoundsAsync(lab, nodes, but: [slow], apart: Apart);
            figures.Add(Compare($"{Few} nodes together, the {place} at a tenth of the rate: the others", await RunRoundsAsync(lab, nodes, but: [slow]), cold, MostWithSlow, "without a slow one", TwoCopies));
            figures.Add(Compare($"{Few} nodes, one after the other, the {place} at a tenth: the others", slowApart, apart, MostWithSlow, "without a slow one", TwoCopies));
            if (index == 0)
            {
                figures.Add(Compare("  the same, which is where it enters the zone", slowApart, alone, MostWithSlowLead, "one node", TwoCopies));
            }

            await lab.LimitAsync(slow, LinkRate);
        }

        return figures;
    }

    private static async Task<IReadOnlyList<Figure>> MeasureManyAsync()
    {
        const int rate = LinkRate / Fraction;
        await using var lab = await StormLab.StartAsync(rate, new LabZone(Location.Parse("north/zone-a"), Many));
        var nodes = lab.Cluster.Zones[0].Nodes;
        var alone = await RunRoundsAsync(lab, [nodes[0]], Fraction);
        var cold = await RunRoundsAsync(lab, nodes, Fraction);
        List<Node> slow = [nodes[2], nodes[9]];
        foreach (var node in slow)
        {
            await lab.LimitAsync(node, rate / SlowPart);
        }

        return
        [
            new($"{Layers * LayerSize / Fraction / MiB} MiB over {rate} Mbit/s to one node alone", $"{alone.Seconds:0.0} s", "stated", null),
            Compare($"{Many} nodes, nobody has it", cold, alone, MostCold, "one node", OneCopy),
            Compare($"{Many} nodes together, two at a tenth of the rate: the others", await RunRoundsAsync(lab, nodes, Fraction, but: slow), cold, MostWithTwoSlow, "without slow ones", TwoCopies),
        ];
    }

    /// <summary>The median of the slowest of those that count, and of the copies from upstream.</summary>
    private static async Task<Run> RunRoundsAsync(
        ZoneLab lab, IReadOnlyList<Node> nodes, int fraction = 1, IReadOnlyList<Node>? but = null, TimeSpan apart = default, Node? holder = null, bool isHolderSlow = false)
    {
        var runs = new List<Run>();
        for (var round = 0; round < Rounds; round++)
        {
            var image = await lab.Cluster.Images.PushAsync([.. Enumerable.Repeat(LayerSize / fraction, Layers)]);
            await using var held = holder is null ? null : await StormLab.HoldAsync(lab, image, holder);
            if (isHolderSlow)
            {
                await lab.LimitAsync(holder!, LinkRate / SlowPart);
            }

            var before = await StormLab.MeasureLinksAsync(lab);
            await using var storm = new PullStorm(image);
            await storm.StartApartAsync(nodes, apart);
            var ends = await Task.WhenAll(nodes.Except(but ?? []).Select(storm.EndOfAsync));
            await storm.EndsAsync();
            var after = await StormLab.MeasureLinksAsync(lab);
            if (isHolderSlow)
            {
                await lab.LimitAsync(holder!, LinkRate);
            }

            runs.Add(new Run(ends.Max().TotalSeconds, (after.Upstream - before.Upstream) / (double)image.BlobBytes));
        }

        return new Run(runs.Select(run => run.Seconds).Median(), runs.Select(run => run.Copies).Median());
    }

    private static Figure Compare(string name, Run run, Run with, double? most, string what, double mostCopies)
    {
        var measured = $"{run.Seconds:0.0} s, {run.Seconds / with.Seconds:0.00} × {what}; {run.Copies:0.00} copies";
        Console.Error.WriteLine($"  {name}: {measured}");
        return new Figure(
            name,
            measured,
            $"{(most is null ? "" : $"≤ {most:0.00} ×, ")}≤ {mostCopies:0.00} copies",
            (most is null || run.Seconds / with.Seconds <= most) && run.Copies <= mostCopies);
    }

    private sealed record Run(double Seconds, double Copies);
}
