using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Demo;

/// <summary>The nodes of a storm. The first of them have the image before, and the last have slow links.</summary>
/// <param name="Nodes">How many nodes there are.</param>
/// <param name="Held">How many have the image before.</param>
/// <param name="Slow">How many have a link of a tenth of the others' rate.</param>
internal sealed record StormPlan(int Nodes, int Held, int Slow)
{
    /// <summary>The fewest nodes: one alone, against which the others are measured.</summary>
    public const int MinNodes = 1;

    /// <summary>The most nodes that one process should be asked to run.</summary>
    public const int MaxNodes = 32;

    private const int SlowPart = 10;

    /// <summary>The nodes of the demo's cluster.</summary>
    public DemoPlan Cluster { get; } = DemoPlan.OneZone(Nodes);

    /// <summary>The rate of each node's link, where the others' is <paramref name="rate"/>.</summary>
    public IReadOnlyDictionary<NodeName, long> Rates(long rate) => Cluster.NodesOf(Cluster.Zones[0])
        .Select((node, index) => (Node: node, Rate: index < Nodes - Slow ? rate : rate / SlowPart))
        .ToDictionary(link => link.Node, link => link.Rate);
}
