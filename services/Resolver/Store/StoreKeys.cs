using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver.Store;

/// <summary>The keys of the store's documents. Dapr forbids <c>||</c> in a key, which none of these can hold: no part is empty.</summary>
internal static class StoreKeys
{
    /// <summary>The key of a node's lease.</summary>
    public static string Lease(Location location, NodeName node) => $"node|{location.Region}|{location.Zone}|{node}";

    /// <summary>The key of the holders of some content in a zone. A tag's slashes become bars, because Cosmos DB finds no key with a slash again.</summary>
    public static string Holders(Location location, ContentKey key) =>
        $"holders|{location.Region}|{location.Zone}|{key.ToString().Replace('/', '|')}";

    /// <summary>The key of the nodes in flight with some content in a zone.</summary>
    public static string InFlight(Location location, Digest digest) => $"inflight|{location.Region}|{location.Zone}|{digest}";

    /// <summary>The key of the turn of a location's resolvers to restart their sidecars.</summary>
    public static string RestartTurn(Location location) => $"restart|{location.Region}|{location.Zone}";
}
