namespace SpegelDapr.Contracts;

/// <summary>The topics of a location.</summary>
public static class LayerTopics
{
    /// <summary>Where the discoveries of a location publish their <see cref="LayerEvent"/>s, on <see cref="DaprNames.LayerEvents"/>.</summary>
    public static string Events(Location location) => $"layers.{location.Region}.{location.Zone}";

    /// <summary>
    /// Where Dapr delivers them to a resolver. Each location has a path of its own, so that Dapr and not the event says which topic it came on. Also of
    /// a route's template.
    /// </summary>
    public static string EventPath(string region, string zone) => $"/v1/events/{region}/{zone}";

    /// <summary>Where resolvers of other zones tell those of a location that they want a <see cref="SnapshotWish"/>, on <see cref="DaprNames.LayerEvents"/>.</summary>
    public static string Wishes(Location location) => $"{Events(location)}.wishes";
}

/// <summary>Names of Dapr components and app ids that services and component YAML agree on.</summary>
public static class DaprNames
{
    /// <summary>The pub/sub component of layer events and wishes. Its consumer group is the app id, so the replicas of a resolver share the work.</summary>
    public const string LayerEvents = "layer-events";

    /// <summary>The state store of leases and holders.</summary>
    public const string HolderStore = "holder-store";

    /// <summary>The app id of the discoveries of a zone, and of the blobs that share their sidecars. Nothing is delivered to it.</summary>
    public static string Discovery(string zone) => $"discovery-{zone}";

    /// <summary>The app id of the resolvers of a zone.</summary>
    public static string Resolver(string zone) => $"resolver-{zone}";
}

/// <summary>HTTP headers of our own, between blob services and towards whoever pulls.</summary>
public static class SpegelHeaders
{
    /// <summary>On a request: the <see cref="PeerClaim"/> of the node whose blob asks. Such a request is answered from local content only, so none goes in circles.</summary>
    public const string Peer = "Spegel-Dapr-Peer";

    /// <summary>On a request with <see cref="Peer"/>: content that the other node is still downloading will do as well. Its value is <c>1</c>.</summary>
    public const string Follow = "Spegel-Dapr-Follow";

    /// <summary>
    /// On a request with <see cref="Peer"/>: when the other node declines, this one asks those to which it is referred, and it can pass on what it gets. Its value
    /// is <c>1</c>.
    /// </summary>
    public const string Refer = "Spegel-Dapr-Refer";

    /// <summary>
    /// On a refusal with status 503: the node is well, and does not give the content to the one that asks now. The value names nodes of its zone that are
    /// fetching the same from it, separated by commas; it may be empty.
    /// </summary>
    public const string Declined = "Spegel-Dapr-Declined";

    /// <summary>
    /// On the answer to a HEAD with <see cref="Follow"/>: how many bytes of the content the node has, from the first on. Such an answer has no length.
    /// </summary>
    public const string Progress = "Spegel-Dapr-Progress";

    /// <summary>Beside <see cref="Progress"/>: the name of the node of the same zone that the content comes from; without it, it comes from elsewhere, or is complete.</summary>
    public const string Source = "Spegel-Dapr-Source";

    /// <summary>Beside <see cref="Progress"/>: the most bytes a second that have come to the node lately from another one; without it, nothing has.</summary>
    public const string Fastest = "Spegel-Dapr-Fastest";

    /// <summary>On an answer that tells progress: how many bytes a second the content's registry has given the node in the last hour; absent when it has given nothing.</summary>
    public const string Upstream = "Spegel-Dapr-Upstream";

    /// <summary>
    /// On the answer 503 to a request with <see cref="Peer"/>: the node has the content and is still checking it, so it is worth asking again. Its value is <c>1</c>.
    /// </summary>
    public const string Checking = "Spegel-Dapr-Checking";

    /// <summary>
    /// On a request with <see cref="Follow"/>: the asker can read a blob in pieces, each with its sum. Its value is <c>1</c>. On the answer in pieces: how many bytes
    /// of content are in it. Such an answer has no length.
    /// </summary>
    public const string Pieces = "Spegel-Dapr-Pieces";

    /// <summary>On an answer: its bytes come from a node that was still downloading them. Its value is <c>1</c>.</summary>
    public const string Relayed = "Spegel-Dapr-Relayed";

    /// <summary>On an answer: the <see cref="Contracts.Tier"/> its bytes come from.</summary>
    public const string Tier = "Spegel-Dapr-Tier";

    /// <summary>On an answer: the name of the node its bytes come from. To <c>/v2/</c>, which has no content, and on a refusal: that of the node that answers.</summary>
    public const string Holder = "Spegel-Dapr-Holder";
}
