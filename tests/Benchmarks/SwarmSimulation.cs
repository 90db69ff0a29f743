using System.Globalization;
using SpegelDapr.Simulation;

namespace SpegelDapr.Benchmarks;

/// <summary>
/// Many nodes of a zone on one layer, some of them slow and some dying, in virtual time: what one machine cannot run is simulated, with the classes of blob and
/// resolver (see <see cref="Simulation.Swarm"/>). Their time on a processor does not count there.
/// </summary>
internal static class SwarmSimulation
{
    private const long MiB = 1024 * 1024;
    private const int Seed = 1;
    private const double Slow = 0.05;
    private const double Dying = 0.02;
    private const double MostCopies = 2;
    private const double MostSpread = 2;
    private const int MostWritesFor1000 = 50;
    private const int TrackerLayers = 20;
    private const int LeastQuestions = 5000;

    private static readonly TimeSpan StartWithin = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Together = TimeSpan.FromMilliseconds(100);

    public static async Task<IReadOnlyList<Figure>> MeasureAsync() => await Task.Run<IReadOnlyList<Figure>>(async () =>
    [
        await MeasureTrackerAsync(nodes: 1000),
        .. Measure("one node has 32 MiB, 200 pull at once", SwarmPlan.Of(Seed, nodes: 201, 32 * MiB, Together, holders: 1, isHashed: false), mostCopies: 0),
        .. MeasureChurn(nodes: 100, 32 * MiB),
        .. MeasureChurn(nodes: 1000, 32 * MiB),
        .. MeasureChurn(nodes: 5000, 16 * MiB),
    ]);

    private static async Task<Figure> MeasureTrackerAsync(int nodes)
    {
        var (questions, cpu, _) = await TrackerLoad.MeasureAsync(nodes, TrackerLayers);
        var rate = questions / cpu.TotalSeconds;
        return new($"whom to follow, {nodes} nodes: questions a second on one core", $"{rate:0}", $"≥ {LeastQuestions}", rate >= LeastQuestions);
    }

    private static IEnumerable<Figure> MeasureChurn(int nodes, long bytes) => Measure(
        $"{nodes} nodes pull {bytes / MiB} MiB, {Slow:0 %} slow, {Dying:0 %} dying", SwarmPlan.Of(Seed, nodes, bytes, StartWithin, Slow, Dying, isHashed: false), MostCopies);

    private static IEnumerable<Figure> Measure(string name, SwarmPlan plan, double mostCopies)
    {
        var alone = plan.Bytes / SwarmPlan.LinkBytesPerSecond;
        var mostWrites = MostWritesFor1000 * Math.Max(1, plan.Nodes.Count / 1000);
        SwarmResult result;
        try
        {
            result = Simulation.Swarm.Run(plan);
        }
        catch (TimeoutException e)
        {
            return [new Figure(name, e.Message, "an end", false)];
        }

        Console.Error.WriteLine($"  {result}");
        return
        [
            new($"{name}: the median of the others", Seconds(result.Median, alone), "stated", null),
            new("  their 99th percentile", $"{Seconds(result.P99, alone)}, {result.P99 / result.Median:0.00} × median", $"≤ {MostSpread:0.0} × median", result.P99 <= MostSpread * result.Median),
            new("  copies from upstream", $"{result.Copies:0.00}, by {result.RegistryRequests} requests", $"≤ {mostCopies:0}", result.Copies <= mostCopies),
            new("  healthy nodes reported as failed", $"{result.Reported.Count}", "0", result.Reported.Count == 0),
            new("  writes of the resolver", $"{result.Writes}, of {result.LargestDocument / 1024.0:0.0} KiB at most", $"≤ {mostWrites}", result.Writes <= mostWrites),
            new("  questions whom to follow, for a node, how far one is", $"{result.Questions}, {result.NodeQuestions}, {result.ProgressQuestions}", "stated", null),
            new("  questions not answered in time", $"{result.Unavailable}", "stated", null),
            new("  the deepest node", $"{result.Deepest}", "stated", null),
            new("  nodes without the layer, circles", $"{result.Undone.Count}, {result.Loops}", "0, 0", result is { Undone.Count: 0, Loops: 0 }),
            new("  simulated", $"{result.Virtual.TotalSeconds:0} s in {result.Real.TotalSeconds:0} s", "stated", null),
        ];
    }

    private static string Seconds(double seconds, double alone) => string.Create(CultureInfo.InvariantCulture, $"{seconds:0.0} s, {seconds / alone:0.0} × one node");
}
