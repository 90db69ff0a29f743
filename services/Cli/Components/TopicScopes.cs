using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Components;

/// <summary>
/// What the metadata of the pub/sub components say of who may publish and hear what (Dapr's documentation, Scope Pub/sub topic access). An app with
/// an empty list may do nothing, one that is not listed anything but what is protected.
/// </summary>
internal static class TopicScopes
{
    /// <summary>The metadata to add to a component, by name; none for what is no pub/sub component.</summary>
    public static IReadOnlyList<KeyValuePair<string, string>> Of(string component, IReadOnlyList<ScopedZone> zones) => component switch
    {
        DaprNames.LayerEvents => Of(zones, LayerTopics.Events, speaks: "publishingScopes", hears: "subscriptionScopes"),
        DaprNames.LayerSync => Of(zones, LayerTopics.Sync, speaks: "subscriptionScopes", hears: "publishingScopes"),
        _ => [],
    };

    /// <summary>
    /// Discoveries speak of their own zone alone, and resolvers hear those in reach. With requests for snapshots it is the other way about. Topics are
    /// protected where all resolvers have lists, as otherwise those without would hear nothing.
    /// </summary>
    private static List<KeyValuePair<string, string>> Of(IReadOnlyList<ScopedZone> zones, Func<Location, string> topic, string speaks, string hears)
    {
        string Entry(string app, IEnumerable<Location> locations) => $"{app}={string.Join(',', locations.Select(topic))}";
        var scopes = new List<KeyValuePair<string, string>>();
        if (zones.All(zone => zone.IsClosed))
        {
            scopes.Add(new("protectedTopics", string.Join(',', zones.Select(zone => topic(zone.Location)))));
        }

        scopes.Add(new(speaks, string.Join(';', zones.SelectMany(zone => new[] { Entry(zone.Discovery, [zone.Location]), Entry(zone.Resolver, []) }))));
        scopes.Add(new(hears, string.Join(';', zones.SelectMany(zone => zone.IsClosed
            ? new[] { Entry(zone.Discovery, []), Entry(zone.Resolver, zone.Heard) }
            : [Entry(zone.Discovery, [])]))));
        return scopes;
    }
}
