using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Components;

/// <summary>
/// What the metadata of the pub/sub component say of who may publish and hear what (Dapr's documentation, Scope Pub/sub topic access). An app with
/// an empty list may do nothing, one that is not listed anything but what is protected.
/// </summary>
internal static class TopicScopes
{
    /// <summary>
    /// The metadata to add to <see cref="DaprNames.LayerEvents"/>, by name. Discoveries speak of their own zone alone and hear nothing; resolvers hear those in
    /// reach, and may wish for the snapshots of others in reach. Topics are protected where all resolvers have lists, as otherwise those without would hear
    /// nothing.
    /// </summary>
    public static IReadOnlyList<KeyValuePair<string, string>> Of(IReadOnlyList<ScopedZone> zones)
    {
        var scopes = new List<KeyValuePair<string, string>>();
        if (zones.All(zone => zone.IsClosed))
        {
            scopes.Add(new("protectedTopics", string.Join(',', zones.SelectMany(zone => new[] { LayerTopics.Events(zone.Location), LayerTopics.Wishes(zone.Location) }))));
        }

        scopes.Add(new("publishingScopes", Join(zones.SelectMany(zone => new[]
        {
            Entry(zone.Discovery, [LayerTopics.Events(zone.Location)]),
            Entry(zone.Resolver, zone.Heard.Where(other => other != zone.Location).Select(LayerTopics.Wishes)),
        }))));
        scopes.Add(new("subscriptionScopes", Join(zones.SelectMany(zone => zone.IsClosed
            ? new[] { Entry(zone.Discovery, []), Entry(zone.Resolver, zone.Heard.Select(LayerTopics.Events).Append(LayerTopics.Wishes(zone.Location))) }
            : [Entry(zone.Discovery, [])]))));
        return scopes;
    }

    private static string Entry(string app, IEnumerable<string> topics) => $"{app}={string.Join(',', topics)}";

    private static string Join(IEnumerable<string> entries) => string.Join(';', entries);
}
