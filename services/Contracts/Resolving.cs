namespace SpegelDapr.Contracts;

/// <summary>A question to a resolver: who holds these keys? Posted to its method <see cref="Method"/>.</summary>
/// <param name="Node">The node that asks; it is never among the holders of the answer.</param>
/// <param name="Location">Where it is: holders are ordered by their tier from here.</param>
/// <param name="Keys">What is looked up; at most <see cref="MaxKeys"/>.</param>
/// <param name="Fetching">
/// Set when the node is about to fetch the only key, a digest: then it is told in the same answer whom to follow, as by a <see cref="FollowRequest"/>.
/// </param>
public sealed record ResolveRequest(NodeName Node, Location Location, IReadOnlyList<ContentKey> Keys, Fetching? Fetching = null)
{
    /// <summary>The resolver's method, under Dapr service invocation.</summary>
    public const string Method = "v1/resolve";

    /// <summary>The most keys of one question.</summary>
    public const int MaxKeys = 512;
}

/// <summary>What a resolver must know of content that a node is about to fetch to say whom the node follows.</summary>
/// <param name="IsLarge">Whether it is so large that nodes follow one another also where some of the zone hold it.</param>
/// <param name="Order">As in <see cref="FollowRequest"/>.</param>
/// <param name="IsSlow">Whether the node's own link is slow.</param>
public sealed record Fetching(bool IsLarge, long? Order = null, bool IsSlow = false);

/// <summary>A resolver's answer.</summary>
/// <param name="Keys">One answer for each key, in the order of the question.</param>
/// <param name="Follow">
/// Whom the node follows with what it is about to fetch; null where that was not asked, where holders will do, and where it could not be decided at once: a
/// <see cref="FollowRequest"/> then asks for it.
/// </param>
public sealed record ResolveAnswer(IReadOnlyList<ResolvedKey> Keys, FollowAnswer? Follow = null);

/// <summary>Who holds a key.</summary>
/// <param name="Key">The key as asked.</param>
/// <param name="Holders">The holders in the order in which to try them; empty when there are none in reach.</param>
/// <param name="Digest">For a tag, the digest it stands for; null when nobody in reach knows the tag.</param>
public sealed record ResolvedKey(ContentKey Key, IReadOnlyList<Holder> Holders, Digest? Digest = null)
{
    /// <summary>The most holders of a key: a node that has asked all of these in vain had better go upstream.</summary>
    public const int MaxHolders = 8;
}

/// <summary>A node that has a key complete on disk.</summary>
/// <param name="Node">Who it is and where its blob service is reached.</param>
/// <param name="Tier">How far it is from the node that asked.</param>
public sealed record Holder(NodeIdentity Node, Tier Tier);

/// <summary>The answer to a question that takes no body: is this node alive and in reach?</summary>
/// <param name="Asked">The node as asked.</param>
/// <param name="Node">The node as it describes itself; null when it is not.</param>
public sealed record NodeAnswer(PeerClaim Asked, NodeIdentity? Node = null)
{
    /// <summary>The route of the question, which is a GET.</summary>
    public const string Route = "/v1/nodes/{region}/{zone}/{name}";

    /// <summary>The resolver's method for a node, under Dapr service invocation.</summary>
    public static string Method(PeerClaim node) => $"v1/nodes/{node}";
}
