using System.Text.Json.Serialization;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;

namespace SpegelDapr.Resolver.Holders;

/// <summary>What the nodes of a zone have said about one key, at most one entry a node.</summary>
/// <param name="Entries">The entries, in no order.</param>
internal sealed record HolderDocument(IReadOnlyList<HolderEntry> Entries)
{
    /// <summary>A key that nobody has spoken of.</summary>
    public static HolderDocument Empty { get; } = new([]);

    /// <summary>How long a tombstone stays at least, so that a replica that is still at work on an earlier event cannot undo the removal.</summary>
    private static readonly TimeSpan TombstoneStays = TimeSpan.FromMinutes(5);

    /// <summary>Whether any of the entries says something that is not known yet, or may do so: what is known is of a later epoch, which may be nobody's.</summary>
    public bool IsNewsIn(IReadOnlyList<HolderEntry> statements) => statements.Any(
        statement => Entries.FirstOrDefault(entry => entry.Node == statement.Node) is not { } known || known.IsOlderThan(statement) || known.Epoch > statement.Epoch);

    /// <summary>
    /// The document with what the statements say: of two on one node, the newer holds. Entries that cannot count any more are dropped, and so is
    /// one of a later epoch than the lease when a statement of the lease's epoch comes: the node's clock was ahead once, and that lease has run out.
    /// </summary>
    /// <param name="statements">The entries to take in.</param>
    /// <param name="leaseOf">
    /// The lease of a node; null when the store has none. It must have been read after the document and the statements for a node that they give
    /// a later epoch than one of the statements. For others it may be older.
    /// </param>
    /// <param name="now">The time.</param>
    /// <param name="most">The most holders to keep: alive ones first, then, for a tag, the latest.</param>
    public HolderDocument With(IReadOnlyList<HolderEntry> statements, Func<NodeName, Lease?> leaseOf, DateTimeOffset now, int most)
    {
        var entries = Entries.Where(entry => MayStillCount(entry, leaseOf(entry.Node), now)).ToDictionary(entry => entry.Node);
        foreach (var statement in statements)
        {
            if (!entries.TryGetValue(statement.Node, out var known)
                || known.IsOlderThan(statement)
                || (known.Epoch > statement.Epoch && leaseOf(statement.Node)?.Epoch == statement.Epoch))
            {
                entries[statement.Node] = statement;
            }
        }

        var tombstones = entries.Values.Where(entry => entry.IsRemoved).OrderByDescending(entry => entry.RemovedAt).Take(most);
        var holders = entries.Values
            .Where(entry => !entry.IsRemoved)
            .OrderByDescending(entry => leaseOf(entry.Node)?.IsAlive(now) ?? false)
            .ThenByDescending(entry => entry.UpdatedAt)
            .Take(most);
        return new HolderDocument([.. holders, .. tombstones]);
    }

    private static bool MayStillCount(HolderEntry entry, Lease? lease, DateTimeOffset now) =>
        lease is not null
        && lease.Covers(entry.Epoch, entry.Sequence)
        && !(entry.RemovedAt is { } removedAt && lease.Epoch == entry.Epoch && lease.Applied >= entry.Sequence && now - removedAt > TombstoneStays);
}

/// <summary>What a node has said about a key.</summary>
/// <param name="Node">The node.</param>
/// <param name="Epoch">The epoch in which it said so.</param>
/// <param name="Sequence">The event by which it said so.</param>
internal sealed record HolderEntry(NodeName Node, long Epoch, long Sequence)
{
    /// <summary>For a tag, the digest it stands for on that node.</summary>
    public Digest? Digest { get; init; }

    /// <summary>For a tag, when the node pointed it at that digest.</summary>
    public DateTimeOffset? UpdatedAt { get; init; }

    /// <summary>When the resolver heard that the node holds the key no longer; null while it does. Such an entry is a tombstone.</summary>
    public DateTimeOffset? RemovedAt { get; init; }

    /// <summary>Whether the entry is a tombstone.</summary>
    [JsonIgnore]
    public bool IsRemoved => RemovedAt is not null;

    /// <summary>Whether another entry of the same node was said later.</summary>
    public bool IsOlderThan(HolderEntry other) => (Epoch, Sequence).CompareTo((other.Epoch, other.Sequence)) < 0;

    /// <summary>Whether the node holds the key, going by its lease.</summary>
    public bool Counts(Lease lease, DateTimeOffset now) =>
        !IsRemoved && lease.IsAlive(now) && Epoch == lease.Epoch && Sequence >= lease.Base;
}
