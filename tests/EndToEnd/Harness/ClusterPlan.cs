using SpegelDapr.Cli.Components;
using SpegelDapr.Contracts;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>What a <see cref="Cluster"/> is to be.</summary>
/// <param name="Registry">Where docker-registry runs.</param>
/// <param name="Backend">Where the servers of the backend set run.</param>
/// <param name="Zones">Its zones.</param>
internal sealed record ClusterPlan(Machine Registry, Machine Backend, IReadOnlyList<ZonePlan> Zones)
{
    /// <summary>What the environment of all its services says, beside what they need anyway.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();

    /// <summary>What the name of its directory begins with.</summary>
    public string Name { get; init; } = "spegel-dapr-test";

    /// <summary>One zone on this machine.</summary>
    public static ClusterPlan OneZone(int nodes, int replicas = 1)
    {
        var location = Location.Parse("test/zone-a");
        return new ClusterPlan(
            Machine.Local,
            Machine.Local,
            [new ZonePlan(location, [location], Machine.Local, [.. Enumerable.Range(1, nodes).Select(i => ($"node-{i}", Machine.Local))]) { Replicas = replicas }]);
    }

    /// <summary>The zones as the scopes of components name them: each app may publish and hear what it has to, and others nothing.</summary>
    public IReadOnlyList<ScopedZone> ScopedZones => [.. Zones.Select(zone => new ScopedZone(zone.Location, zone.Reach))];
}

/// <summary>What a <see cref="Zone"/> is to be.</summary>
/// <param name="Location">Where it is.</param>
/// <param name="Reach">Whose nodes its resolver offers.</param>
/// <param name="Resolver">Where its resolver runs.</param>
/// <param name="Nodes">The names of its nodes, and where they run.</param>
internal sealed record ZonePlan(Location Location, IReadOnlyList<Location> Reach, Machine Resolver, IReadOnlyList<(string Name, Machine Machine)> Nodes)
{
    /// <summary>How many replicas its resolver has.</summary>
    public int Replicas { get; init; } = 1;
}
