using SpegelDapr.Contracts;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>What a <see cref="Cluster"/> is to be.</summary>
/// <param name="Registry">Where docker-registry runs.</param>
/// <param name="Redis">Where Redis runs.</param>
/// <param name="Zones">Its zones.</param>
internal sealed record ClusterPlan(Machine Registry, Machine Redis, IReadOnlyList<ZonePlan> Zones)
{
    /// <summary>What the environment of all its services says, beside what they need anyway.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; init; } = new Dictionary<string, string>();

    /// <summary>What the name of its directory begins with.</summary>
    public string Name { get; init; } = "spegel-dapr-test";

    /// <summary>One zone on this machine.</summary>
    public static ClusterPlan OneZone(int nodes)
    {
        var location = Location.Parse("test/zone-a");
        return new ClusterPlan(
            Machine.Local,
            Machine.Local,
            [new ZonePlan(location, [location], Machine.Local, [.. Enumerable.Range(1, nodes).Select(i => ($"node-{i}", Machine.Local))])]);
    }

    /// <summary>
    /// By pub/sub component, scopes that let each app publish and hear what it has to, and others nothing (Dapr's documentation, Scope Pub/sub
    /// topic access).
    /// </summary>
    public IReadOnlyDictionary<string, string> TopicScopes() => new Dictionary<string, string>
    {
        [DaprNames.LayerEvents] = Scopes(
            LayerTopics.Events,
            publishing: zone => [(DaprNames.Discovery(zone.Location.Zone), [zone.Location]), (DaprNames.Resolver(zone.Location.Zone), [])],
            subscription: zone => [(DaprNames.Discovery(zone.Location.Zone), []), (DaprNames.Resolver(zone.Location.Zone), zone.Reach)]),
        [DaprNames.LayerSync] = Scopes(
            LayerTopics.Sync,
            publishing: zone => [(DaprNames.Discovery(zone.Location.Zone), []), (DaprNames.Resolver(zone.Location.Zone), zone.Reach)],
            subscription: zone => [(DaprNames.Discovery(zone.Location.Zone), [zone.Location]), (DaprNames.Resolver(zone.Location.Zone), [])]),
    };

    private string Scopes(
        Func<Location, string> topic,
        Func<ZonePlan, IEnumerable<(string App, IReadOnlyList<Location> Locations)>> publishing,
        Func<ZonePlan, IEnumerable<(string App, IReadOnlyList<Location> Locations)>> subscription)
    {
        string Text(Func<ZonePlan, IEnumerable<(string App, IReadOnlyList<Location> Locations)>> scopes) =>
            string.Join(';', Zones.SelectMany(scopes).Select(scope => $"{scope.App}={string.Join(',', scope.Locations.Select(topic))}"));
        return $"""
                - name: protectedTopics
                  value: "{string.Join(',', Zones.Select(zone => topic(zone.Location)))}"
                - name: publishingScopes
                  value: "{Text(publishing)}"
                - name: subscriptionScopes
                  value: "{Text(subscription)}"

            """;
    }
}

/// <summary>What a <see cref="Zone"/> is to be.</summary>
/// <param name="Location">Where it is.</param>
/// <param name="Reach">Whose nodes its resolver offers.</param>
/// <param name="Resolver">Where its resolver runs.</param>
/// <param name="Nodes">The names of its nodes, and where they run.</param>
internal sealed record ZonePlan(Location Location, IReadOnlyList<Location> Reach, Machine Resolver, IReadOnlyList<(string Name, Machine Machine)> Nodes);
