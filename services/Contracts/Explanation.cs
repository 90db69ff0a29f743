using System.Text.Json.Serialization;

namespace SpegelDapr.Contracts;

/// <summary>Where a node's blob would get some content from now, and why: the answer of <c>GET <see cref="Path"/>?key=…</c> on the mirror's port.</summary>
/// <param name="Key">What was asked about.</param>
/// <param name="Node">The node that answers.</param>
/// <param name="Location">Where it is.</param>
/// <param name="Mode">Its mode: <c>isolated</c>, <c>preferred</c> or <c>adaptive</c>.</param>
/// <param name="Boundary">What mode isolated closes: <c>zone</c> or <c>region</c>.</param>
/// <param name="Decision">Where the content would come from.</param>
/// <param name="Reason">Why, for people.</param>
/// <param name="Bytes">The content's size as the decision reckons with it.</param>
/// <param name="Candidates">All holders that the resolver names, in the order in which they would be tried.</param>
/// <param name="Upstream">The registry that containerd would go to.</param>
/// <param name="InFlight">The nodes of the zone that are fetching the content now, in the order in which they began.</param>
/// <param name="Digest">The digest that it is or stands for; null for a tag that nobody in reach knows.</param>
public sealed record Explanation(
    ContentKey Key,
    NodeName Node,
    Location Location,
    string Mode,
    string Boundary,
    Tier Decision,
    string Reason,
    long Bytes,
    IReadOnlyList<ExplainedCandidate> Candidates,
    ExplainedUpstream Upstream,
    IReadOnlyList<InFlightNode> InFlight,
    Digest? Digest = null)
{
    /// <summary>The path on the mirror's port. Query: <c>key</c>, a digest or a full tag reference; for a digest optionally <c>ns</c>, its registry.</summary>
    public const string Path = "/v1/explain";
}

/// <summary>A holder, and what became of it.</summary>
/// <param name="Node">The holder's name.</param>
/// <param name="Location">Where it is.</param>
/// <param name="Address">Where its blob is reached.</param>
/// <param name="Tier">How far it is.</param>
/// <param name="IsUsed">Whether it would be asked.</param>
/// <param name="Reason">Why, for people.</param>
/// <param name="Outstanding">Requests of this node that it is answering now.</param>
/// <param name="Route">What is known of the route from its location.</param>
/// <param name="BytesPerSecond">How fast the holder has been of late; null when unknown.</param>
public sealed record ExplainedCandidate(
    NodeName Node,
    Location Location,
    BlobAddress Address,
    Tier Tier,
    [property: JsonPropertyName("used")] bool IsUsed,
    string Reason,
    int Outstanding,
    ExplainedRoute Route,
    double? BytesPerSecond = null);

/// <summary>The way past all peers.</summary>
/// <param name="Route">What is known of the route from there.</param>
/// <param name="Registry">The registry; null when neither the question nor a manifest has told.</param>
public sealed record ExplainedUpstream(ExplainedRoute Route, string? Registry = null);

/// <summary>What transfers have taught of a route; what is absent is unknown.</summary>
/// <param name="Samples">How many measurements it rests on.</param>
/// <param name="PriceSeconds">What the content's price weighs, in addition to <paramref name="Seconds"/>.</param>
/// <param name="Seconds">What the content is expected to take.</param>
/// <param name="FirstByteSeconds">The time to the first byte.</param>
/// <param name="BytesPerSecond">The throughput.</param>
public sealed record ExplainedRoute(
    long Samples, double PriceSeconds, double? Seconds = null, double? FirstByteSeconds = null, double? BytesPerSecond = null);
