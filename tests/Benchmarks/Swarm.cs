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
    private const int Nodes = 8;
    private const int Rounds = 3;
    private const double MostWithSlow = 1.6;
    private const double MostCold = 1.15;
    private const double MostHeld = 1.3;
    private const double MostCopies = 2.05;

    private static readonly TimeSpan Apart = TimeSpan.FromMilliseconds(200);

    public static async Task<IReadOnlyList<Figure>> MeasureAsync()
    {
        await using var lab = await StormLab.StartAsync(LinkRate, new LabZone(Location.Parse("north/zone-a"), Nodes));
        await StormLab.WarmUpAsync(lab);
        var nodes = lab.Cluster.Zones[0].Nodes;
        var alone = await RunRoundsAsync(lab, [nodes[0]], []);
        var cold = await RunRoundsAsync(lab, nodes, []);
        var apart = await RunRoundsAsync(lab, nodes, [], Apart);
        var figures = new List<Figure>
        {
            new($"{Layers * LayerSize / MiB} MiB over {LinkRate} Mbit/s to one node alone", $"{alone.Seconds:0.0} s", "stated", null),
            Compare($"{Nodes} nodes, nobody has it", cold, alone, MostCold, "one node", mostCopies: 1.02),
            Compare($"{Nodes} nodes, one after the other", apart, alone, null, "one node", mostCopies: 1.02),
        };
        figures.Add(Compare($"one node has it, {Nodes - 1} pull together", await RunRoundsAsync(lab, [.. nodes.Skip(1)], [], holder: nodes[0]), alone, MostHeld, "one node", mostCopies: 0.02));
        foreach (var (place, index) in new[] { ("third", 2), ("first", 0), ("last", Nodes - 1) })
        {
            var slow = nodes[index];
            await lab.LimitAsync(slow, LinkRate / SlowPart);
            figures.Add(Compare($"{Nodes} nodes together, the {place} at a tenth of the rate: the others", await RunRoundsAsync(lab, nodes, [slow]), cold, MostWithSlow, "without a slow one", MostCopies));
            figures.Add(Compare($"{Nodes} nodes, one after the other, the {place} at a tenth: the others", await RunRoundsAsync(lab, nodes, [slow], Apart), apart, MostWithSlow, "without a slow one", MostCopies));
            await lab.LimitAsync(slow, LinkRate);
        }

        return figures;
    }

    /// <summary>The median of the slowest of those that count, and of the copies from upstream.</summary>
    private static async Task<Run> RunRoundsAsync(ZoneLab lab, IReadOnlyList<Node> nodes, IReadOnlyList<Node> but, TimeSpan apart = default, Node? holder = null)
    {
        var runs = new List<Run>();
        for (var round = 0; round < Rounds; round++)
        {
            var image = await lab.Cluster.Images.PushAsync([.. Enumerable.Repeat(LayerSize, Layers)]);
            await using var held = holder is null ? null : await StormLab.HoldAsync(lab, image, holder);
            var before = await StormLab.MeasureLinksAsync(lab);
            await using var storm = new PullStorm(image);
            await storm.StartApartAsync(nodes, apart);
            var ends = await Task.WhenAll(nodes.Except(but).Select(storm.EndOfAsync));
            await storm.EndsAsync();
            var after = await StormLab.MeasureLinksAsync(lab);
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
