using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Demo;

/// <summary>The nodes of the demo's cluster.</summary>
/// <param name="Zones">The zones, all of one region. The last letter of a zone's name is in the names of its nodes.</param>
/// <param name="NodesPerZone">How many nodes each has.</param>
internal sealed record DemoPlan(IReadOnlyList<Location> Zones, int NodesPerZone)
{
    private const string Region = "demo";

    private static readonly Location ZoneA = Location.Parse($"{Region}/zone-a");
    private static readonly Location ZoneB = Location.Parse($"{Region}/zone-b");

    /// <summary>Two zones of two nodes.</summary>
    public static DemoPlan TwoZones { get; } = new([ZoneA, ZoneB], 2);

    /// <summary>All nodes in one zone.</summary>
    public static DemoPlan OneZone(int nodes) => new([ZoneA], nodes);

    /// <summary>The nodes of a zone.</summary>
    public IEnumerable<NodeName> NodesOf(Location zone) => Enumerable.Range(1, NodesPerZone).Select(number => NodeName.Parse($"node-{zone.Zone[^1]}{number}"));
}
