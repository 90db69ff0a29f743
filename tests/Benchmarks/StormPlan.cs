using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.Benchmarks;

/// <summary>A storm with faults, as chance has it.</summary>
/// <param name="Layers">The sizes of the image's layers in bytes.</param>
/// <param name="Holders">The nodes that have the image before.</param>
/// <param name="Pulls">The nodes that pull it, and how long after the one before each begins.</param>
/// <param name="Faults">What goes wrong.</param>
internal sealed record StormPlan(
    IReadOnlyList<long> Layers, IReadOnlyList<Node> Holders, IReadOnlyList<(Node Node, TimeSpan Gap)> Pulls, IReadOnlyList<Fault> Faults)
{
    private const int MiB = 1024 * 1024;
    private const int MostHolders = 3;
    private const int MostFaults = 3;

    /// <summary>A cut of a node's link as long as that breaks no connection, so containerd alone would survive it.</summary>
    private const double LongestCut = 2;

    private const double LongestFault = 6;
    private const double LatestStart = 4;
    private const double LongestGap = 1.5;

    /// <summary>Draws one: in a third of them nobody has the image before, and about half of the nodes begin together.</summary>
    public static StormPlan Draw(Random random, IReadOnlyList<Node> nodes)
    {
        var shuffled = nodes.ToArray();
        random.Shuffle(shuffled);
        var layers = Enumerable.Range(0, random.Next(3, 5)).Select(_ => (long)random.Next(6, 17) * MiB).ToList();
        var holders = shuffled[..(random.Next(3) == 0 ? 0 : random.Next(1, MostHolders + 1))];
        var pulls = shuffled[holders.Length..].Select(node => (node, random.Next(2) == 0 ? TimeSpan.Zero : Seconds(random, LongestGap))).ToList();
        var faults = new List<Fault>();
        for (var count = random.Next(1, MostFaults + 1); faults.Count < count;)
        {
            var kind = random.GetItems(Enum.GetValues<FaultKind>(), 1)[0];
            var struck = kind switch
            {
                FaultKind.CopyCorrupt => holders,
                FaultKind.DiskFull => shuffled[holders.Length..],
                _ => shuffled,
            };
            if (struck.Length > 0 && DrawFault(random, kind, struck, layers) is var fault && !faults.Exists(other => other.Kind == kind && (other.Node == fault.Node || fault.IsOfZone)))
            {
                faults.Add(fault);
            }
        }

        return new StormPlan(layers, holders, pulls, faults);
    }

    private static Fault DrawFault(Random random, FaultKind kind, Node[] struck, IReadOnlyList<long> layers) => new(
        kind,
        struck[random.Next(struck.Length)],
        kind == FaultKind.CopyCorrupt && random.Next(2) == 0 ? TimeSpan.Zero : Seconds(random, LatestStart),
        Seconds(random, kind == FaultKind.LinkCut ? LongestCut : LongestFault),
        random.NextInt64(2 * MiB, layers.Sum()));

    private static TimeSpan Seconds(Random random, double most) => TimeSpan.FromSeconds(random.NextDouble() * most);
}
