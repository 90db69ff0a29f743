namespace SpegelDapr.Contracts;

/// <summary>
/// The last requests of a node's containerd, and how each was answered: the answer of <c>GET <see cref="Path"/></c> on the mirror's port. Only the node itself
/// is told, since it says which images have been pulled.
/// </summary>
/// <param name="Node">The node.</param>
/// <param name="Location">Where it is.</param>
/// <param name="Transfers">The latest first, at most <see cref="MaxTransfers"/>.</param>
public sealed record RecordedTransfers(NodeName Node, Location Location, IReadOnlyList<RecordedTransfer> Transfers)
{
    /// <summary>The path on the mirror's port.</summary>
    public const string Path = "/v1/transfers";

    /// <summary>How many requests a node remembers.</summary>
    public const int MaxTransfers = 1000;
}

/// <summary>A request of a node's containerd, and how it was answered.</summary>
/// <param name="At">When the request came.</param>
/// <param name="Kind">What was asked for: <c>manifest</c>, <c>blob</c> or <c>referrers</c>.</param>
/// <param name="Repository">The repository that it is of, below its registry.</param>
/// <param name="Outcome">What became of the request, as in the metric <c>spegel_dapr_blob_requests_total</c>.</param>
/// <param name="Bytes">How many bytes were sent.</param>
/// <param name="Seconds">From the request to the last byte that was sent.</param>
/// <param name="Sources">The nodes that the bytes came from, in the order in which they began.</param>
/// <param name="Candidates">The nearest of the nodes that had the content whole, and whether each was to be asked.</param>
/// <param name="Digest">The content; null for a tag that nobody in reach knew.</param>
/// <param name="Registry">The registry; null when the request did not say.</param>
/// <param name="Tag">The tag that the content was asked for by; null when it was asked for by its digest.</param>
/// <param name="First">The first byte that was asked for; null for the beginning.</param>
/// <param name="Reason">Why it was to come from where the plan said first, for people; null for the node's own content.</param>
/// <param name="FirstByteSeconds">From the request to the first byte; null when none came.</param>
/// <param name="LongestWaitSeconds">The longest time between two reads; null when there were no two.</param>
/// <param name="Upstream">What containerd then fetched itself; null when it fetched nothing, or has not yet.</param>
public sealed record RecordedTransfer(
    DateTimeOffset At,
    string Kind,
    string Repository,
    string Outcome,
    long Bytes,
    double Seconds,
    IReadOnlyList<RecordedSource> Sources,
    IReadOnlyList<RecordedCandidate> Candidates,
    Digest? Digest = null,
    string? Registry = null,
    string? Tag = null,
    long? First = null,
    string? Reason = null,
    double? FirstByteSeconds = null,
    double? LongestWaitSeconds = null,
    RecordedUpstream? Upstream = null);

/// <summary>A node that has given bytes.</summary>
/// <param name="Node">The node.</param>
/// <param name="Location">Where it is.</param>
/// <param name="Tier">How far that is.</param>
/// <param name="Bytes">How many.</param>
/// <param name="IsRelayed">Whether it was still downloading them itself.</param>
public sealed record RecordedSource(NodeName Node, Location Location, Tier Tier, long Bytes, bool IsRelayed);

/// <summary>A node that had the content whole.</summary>
/// <param name="Node">The node.</param>
/// <param name="Location">Where it is.</param>
/// <param name="IsUsed">Whether it was to be asked.</param>
/// <param name="Reason">Why, for people.</param>
public sealed record RecordedCandidate(NodeName Node, Location Location, bool IsUsed, string Reason);

/// <summary>What containerd fetched itself after a miss.</summary>
/// <param name="Bytes">How many bytes.</param>
/// <param name="Seconds">From the miss to the last byte.</param>
public sealed record RecordedUpstream(long Bytes, double Seconds);
