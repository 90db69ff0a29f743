using System.Text.Json.Serialization;
using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver.Leases;

/// <summary>
/// A node's right to count as alive, and what has been heard of what it says. Leases never change: each event makes a new one from the last.
/// </summary>
/// <param name="Node">The node as it last described itself.</param>
/// <param name="Epoch">The start of its discovery that this lease is about.</param>
/// <param name="ExpiresAt">When it no longer counts as alive.</param>
internal sealed record Lease(NodeIdentity Node, long Epoch, DateTimeOffset ExpiresAt)
{
    /// <summary>The most deltas that are remembered while an earlier one is missing; more call for a snapshot.</summary>
    public const int MostAhead = 256;

    /// <summary>Whether the node has said that it is leaving.</summary>
    public bool Left { get; init; }

    /// <summary>
    /// The sequence of the last complete snapshot, 0 before the first: what was said before it and not repeated no longer holds.
    /// </summary>
    public long Base { get; init; }

    /// <summary>When that snapshot became complete.</summary>
    public DateTimeOffset? BasedAt { get; init; }

    /// <summary>All up to this sequence has been applied.</summary>
    public long Applied { get; init; }

    /// <summary>What the node held at <see cref="Applied"/>.</summary>
    public ContentSummary Summary { get; init; }

    /// <summary>Deltas that have been applied although an earlier event is missing, in their order.</summary>
    public IReadOnlyList<AppliedDelta> Ahead { get; init; } = [];

    /// <summary>The newest snapshot of which some chunks are missing.</summary>
    public SnapshotProgress? Snapshot { get; init; }

    /// <summary>What the node has claimed in heartbeats since its last complete snapshot, when it was more than had been applied.</summary>
    public Claim? Claim { get; init; }

    /// <summary>Whether a resolver of another zone lacks something, so that a snapshot is wanted.</summary>
    public bool IsWanted { get; init; }

    /// <summary>Whether so many deltas are ahead that some have been forgotten.</summary>
    [JsonIgnore]
    public bool IsFarAhead => Ahead.Count == MostAhead;

    /// <summary>Whether less has been applied than the node has claimed.</summary>
    [JsonIgnore]
    public bool IsIncomplete => Claim?.Sequence > Applied;

    /// <summary>Whether the node counts as alive.</summary>
    public bool IsAlive(DateTimeOffset now) => !Left && now < ExpiresAt;

    /// <summary>Whether a statement of this epoch and sequence may still hold: it is not older than this epoch or its last complete snapshot.</summary>
    public bool Covers(long epoch, long sequence) => epoch > Epoch || (epoch == Epoch && sequence >= Base);

    /// <summary>Whether a delta or a snapshot's chunk of this epoch has been applied, or overtaken by a later snapshot.</summary>
    public bool HasHeard(LayerEvent layerEvent) => layerEvent.Sequence <= Applied || layerEvent switch
    {
        DeltaEvent delta => Ahead.Any(ahead => ahead.Sequence == delta.Sequence),
        SnapshotEvent chunk => Snapshot is { } snapshot
            && (snapshot.Sequence > chunk.Sequence || (snapshot.Sequence == chunk.Sequence && snapshot.Received.Contains(chunk.Chunk))),
        _ => false,
    };

    /// <summary>
    /// How this compares with what the node says, which may overtake its events. Something is missing, and not late, when a heartbeat has been heard that
    /// claims it, and it has not come <paramref name="grace"/> later.
    /// </summary>
    public Heard Compare(long epoch, long sequence, ContentSummary summary, DateTimeOffset now, TimeSpan grace) => Epoch.CompareTo(epoch) switch
    {
        < 0 => Heard.Unknown,

        // Until the later start is forgotten, nothing that the earlier one says is taken.
        > 0 => Heard.Matches,
        _ when IsWanted || IsFarAhead || (IsIncomplete && now - Claim!.Since >= grace) => Heard.Differs,
        _ when sequence > Applied => Heard.Behind,
        _ when sequence == Applied && summary != Summary => Heard.Differs,
        _ => Heard.Matches,
    };

    /// <summary>Whether only a wish for a snapshot brings one: nothing is missing here, and none has come since.</summary>
    public bool NeedsWish(SnapshotWish wish) => wish.Epoch == Epoch && !IsWanted && !IsIncomplete && BasedAt < wish.At;

    /// <summary>The lease after a sign of life; it never becomes shorter.</summary>
    public Lease Renew(NodeIdentity node, DateTimeOffset expiresAt) => this with { Node = node, ExpiresAt = expiresAt > ExpiresAt ? expiresAt : ExpiresAt };

    /// <summary>The lease after somebody else has found that the node is lost. The node's next sign of life renews it, and nothing has to be sent again.</summary>
    public Lease End(DateTimeOffset now) => ExpiresAt > now ? this with { ExpiresAt = now } : this;

    /// <summary>The lease after a heartbeat.</summary>
    public Lease Hear(HeartbeatEvent heartbeat, DateTimeOffset now) => heartbeat.Sequence <= Applied
        ? this
        : this with
        {
            Claim = IsIncomplete
                ? Claim! with { Sequence = Math.Max(Claim.Sequence, heartbeat.Sequence) }
                : new Claim(heartbeat.Sequence, now),
        };

    /// <summary>The lease after a delta has been applied.</summary>
    public Lease Apply(DeltaEvent delta)
    {
        if (HasHeard(delta))
        {
            return this;
        }

        var change = ContentSummary.Of(delta.Added) - ContentSummary.Of(delta.Removed);
        return (this with { Ahead = [.. Ahead.Append(new AppliedDelta(delta.Sequence, change)).OrderBy(ahead => ahead.Sequence)] }).Advance();
    }

    /// <summary>The lease after a snapshot's chunk has been applied.</summary>
    public Lease Apply(SnapshotEvent chunk, DateTimeOffset now)
    {
        if (HasHeard(chunk))
        {
            return this;
        }

        var progress = (Snapshot?.Sequence == chunk.Sequence ? Snapshot : new SnapshotProgress(chunk.Sequence, chunk.Chunks)).Add(chunk);
        return progress.IsComplete
            ? (this with
            {
                Base = chunk.Sequence,
                BasedAt = now,
                Applied = chunk.Sequence,
                Summary = progress.Summary,
                Snapshot = null,
                Claim = null,
                IsWanted = false,
            }).Advance()
            : this with { Snapshot = progress };
    }

    /// <summary>Takes in what is ahead, as far as nothing is missing, and forgets what is behind.</summary>
    private Lease Advance()
    {
        var (applied, summary) = (Applied, Summary);
        var ahead = Ahead.SkipWhile(delta => delta.Sequence <= applied).ToList();
        var next = 0;
        for (; next < ahead.Count && ahead[next].Sequence == applied + 1; next++)
        {
            (applied, summary) = (applied + 1, summary + ahead[next].Change);
        }

        return this with { Applied = applied, Summary = summary, Ahead = [.. ahead.Skip(next).TakeLast(MostAhead)] };
    }
}

/// <summary>What a node has claimed to have said.</summary>
/// <param name="Sequence">The greatest sequence.</param>
/// <param name="Since">Since when it has been more than was applied.</param>
internal sealed record Claim(long Sequence, DateTimeOffset Since);

/// <summary>A delta that has been applied.</summary>
/// <param name="Sequence">Its sequence.</param>
/// <param name="Change">What it added, less what it removed.</param>
internal sealed record AppliedDelta(long Sequence, ContentSummary Change);

/// <summary>A snapshot of which some chunks have been applied.</summary>
/// <param name="Sequence">Its sequence.</param>
/// <param name="Chunks">How many chunks it has.</param>
internal sealed record SnapshotProgress(long Sequence, int Chunks)
{
    /// <summary>The chunks that have been applied.</summary>
    public IReadOnlyList<int> Received { get; init; } = [];

    /// <summary>What they hold together.</summary>
    public ContentSummary Summary { get; init; }

    /// <summary>Whether none is missing.</summary>
    [JsonIgnore]
    public bool IsComplete => Received.Count == Chunks;

    /// <summary>The progress after one more chunk.</summary>
    public SnapshotProgress Add(SnapshotEvent chunk) =>
        this with { Received = [.. Received, chunk.Chunk], Summary = Summary + ContentSummary.Of(chunk.Keys) };
}
