namespace SpegelDapr.Contracts;

/// <summary>
/// A question to the resolver of a node's zone: the node is about to fetch content that nobody in its zone has complete, or that is large; does it lead, or
/// whom may it follow? From then on the node counts as in flight, and others may be told to follow it. Posted to the method <see cref="Method"/>.
/// </summary>
/// <param name="Node">The node that asks.</param>
/// <param name="Location">Where it is.</param>
/// <param name="Digest">What it is about to fetch.</param>
/// <param name="Failed">Nodes that it has followed in vain, at most <see cref="MaxFailed"/>. They no longer count as in flight.</param>
/// <param name="Holders">Nodes of the zone that it knows to have the content complete, at most <see cref="MaxHolders"/>; null for none.</param>
/// <param name="Slow">
/// The node that it has followed until now, and over which the content comes too slowly; or itself, when its own link is slow; null for none. Others are told
/// to follow that one only when there is no other.
/// </param>
/// <param name="Declined">
/// Nodes that are well and do not feed it, because they are busy or are fed by it, at most <see cref="MaxFailed"/>; null for none. Others may follow them.
/// </param>
/// <param name="Order">The <see cref="FollowAnswer.Order"/> that it was told when it asked for this content before; null the first time.</param>
/// <param name="OnlyTells">Whether it asks nothing: it only tells <paramref name="Slow"/>, which it has left by itself for one that feeds that, unless it is that one.</param>
public sealed record FollowRequest(
    NodeName Node,
    Location Location,
    Digest Digest,
    IReadOnlyList<NodeName> Failed,
    IReadOnlyList<NodeName>? Holders = null,
    NodeName? Slow = null,
    IReadOnlyList<NodeName>? Declined = null,
    long? Order = null,
    bool OnlyTells = false)
{
    /// <summary>The resolver's method, under Dapr service invocation.</summary>
    public const string Method = "v1/follow";

    /// <summary>The most failed nodes of one question, and the most that have declined.</summary>
    public const int MaxFailed = 16;

    /// <summary>The most holders of one question.</summary>
    public const int MaxHolders = 4;
}

/// <summary>Whom a node follows.</summary>
/// <param name="Digest">The content as asked.</param>
/// <param name="Depth">How many nodes are between it and where the content enters the zone: 0 for one that leads, 1 for one that follows it.</param>
/// <param name="Parent">The node to follow; null for one that leads.</param>
/// <param name="Order">
/// The asker's place among the nodes that fetch this content. A node is told only nodes before it, or some that lead, so that none follow one another in a
/// circle, whatever a resolver has forgotten.
/// </param>
public sealed record FollowAnswer(Digest Digest, int Depth, NodeIdentity? Parent = null, long Order = 0);

/// <summary>The answer to a question that takes no body: who is in flight with some content in a zone?</summary>
/// <param name="Digest">The content as asked.</param>
/// <param name="Nodes">The nodes, in the order in which they have asked; of very many, those nearest to where the content enters and those that nobody follows yet.</param>
public sealed record InFlightAnswer(Digest Digest, IReadOnlyList<InFlightNode> Nodes)
{
    /// <summary>The route of the question, which is a GET.</summary>
    public const string Route = "/v1/in-flight/{region}/{zone}/{digest}";

    /// <summary>The resolver's method for some content in a zone, under Dapr service invocation.</summary>
    public static string Method(Location location, Digest digest) => $"v1/in-flight/{location}/{digest}";
}

/// <summary>A node that is fetching some content, or that feeds one that is.</summary>
/// <param name="Node">The node.</param>
/// <param name="Since">When it was told whom to follow.</param>
/// <param name="Parent">The node that it follows, or the nearest one that it follows over others; null for one that leads or has the content complete.</param>
/// <param name="IsSlow">Whether a node that followed it found it too slow.</param>
/// <param name="Between">How many nodes are between it and <paramref name="Parent"/>.</param>
/// <param name="Followers">How many nodes have been told to follow it, and have not turned to another since.</param>
/// <param name="IsComplete">Whether it has the content complete.</param>
/// <param name="Order">Its <see cref="FollowAnswer.Order"/>.</param>
public sealed record InFlightNode(
    NodeName Node,
    DateTimeOffset Since,
    NodeName? Parent = null,
    bool IsSlow = false,
    int Between = 0,
    int Followers = 0,
    bool IsComplete = false,
    long Order = 0)
{
    /// <summary>The same as following its parent's own parent.</summary>
    public InFlightNode Over(InFlightNode parent) => this with { Parent = parent.Parent, Between = Between + parent.Between + 1 };

    /// <summary>The same with as many followers more.</summary>
    public InFlightNode WithFollowers(int more) => this with { Followers = Math.Max(0, Followers + more) };
}
