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

    private static readonly TimeSpan StartWithin = TimeSpan.FromSeconds(2);

    public static async Task<IReadOnlyList<Figure>> MeasureAsync() =>
        await Task.Run(IReadOnlyList<Figure> () => [.. Measure(nodes: 100, 32 * MiB), .. Measure(nodes: 1000, 32 * MiB), .. Measure(nodes: 5000, 16 * MiB)]);

    private static IEnumerable<Figure> Measure(int nodes, long bytes)
    {
        var plan = SwarmPlan.Of(Seed, nodes, bytes, StartWithin, Slow, Dying, isHashed: false);
        var alone = bytes / SwarmPlan.LinkBytesPerSecond;
        var name = $"{nodes} nodes on {bytes / MiB} MiB, {Slow:0 %} slow, {Dying:0 %} dying";
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
            new($"{name}: the median of those that are neither", Seconds(result.Median, alone), "stated", null),
            new("  their 99th percentile", $"{Seconds(result.P99, alone)}, {result.P99 / result.Median:0.00} × median", $"≤ {MostSpread:0.0} × median", result.P99 <= MostSpread * result.Median),
            new("  copies from upstream", $"{result.Copies:0.00}, by {result.RegistryRequests} requests", $"≤ {MostCopies:0}", result.Copies <= MostCopies),
            new("  healthy nodes reported as failed", $"{result.Reported.Count}", "0", result.Reported.Count == 0),
            new("  writes of the resolver", $"{result.Writes}, of {result.LargestDocument / 1024.0:0.0} KiB at most", $"≤ {MostWritesFor1000 * Math.Max(1, nodes / 1000)}", result.Writes <= MostWritesFor1000 * Math.Max(1, nodes / 1000)),
            new("  questions whom to follow, for a node, how far one is", $"{result.Questions}, {result.NodeQuestions}, {result.ProgressQuestions}", "stated", null),
            new("  questions not answered in time", $"{result.Unavailable}", "stated", null),
            new("  the deepest node", $"{result.Deepest}", "stated", null),
            new("  nodes without the layer, circles", $"{result.Undone.Count}, {result.Loops}", "0, 0", result is { Undone.Count: 0, Loops: 0 }),
            new("  simulated", $"{result.Virtual.TotalSeconds:0} s in {result.Real.TotalSeconds:0} s", "stated", null),
        ];
    }

    private static string Seconds(double seconds, double alone) => string.Create(CultureInfo.InvariantCulture, $"{seconds:0.0} s, {seconds / alone:0.0} × one node");
}
