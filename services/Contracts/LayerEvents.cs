using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpegelDapr.Contracts;

/// <summary>
/// What a node's discovery says about the node's content, as the data of a CloudEvent of type <see cref="Type"/> on the node's
/// <see cref="LayerTopics.Events"/> topic. At most <see cref="MaxKeys"/> keys and <see cref="MaxBytes"/> bytes of JSON each.
/// </summary>
/// <remarks>
/// (<see cref="Epoch"/>, <see cref="Sequence"/>) orders what one node says: of two statements on a key the greater pair holds, so
/// events may be delivered twice and in any order.
/// </remarks>
public abstract record LayerEvent
{
    /// <summary>The most keys one event may carry, added and removed together.</summary>
    public const int MaxKeys = 512;

    /// <summary>The most bytes one event may take as JSON.</summary>
    public const int MaxBytes = 128 * 1024;

    /// <summary>The CloudEvent type, which ends in its version.</summary>
    [JsonIgnore]
    public abstract string Type { get; }

    /// <summary>The node that speaks.</summary>
    public required NodeIdentity Node { get; init; }

    /// <summary>Grows each time the node's discovery starts: Unix time in milliseconds at its start.</summary>
    public required long Epoch { get; init; }

    /// <summary>
    /// Grows by one with each snapshot and each delta of an epoch, from 1; all chunks of a snapshot have the same. A heartbeat and a
    /// leaving repeat the last one.
    /// </summary>
    public required long Sequence { get; init; }
}

/// <summary>All keys that a node holds at <see cref="LayerEvent.Sequence"/>, in chunks; what it does not list, the node does not hold.</summary>
public sealed record SnapshotEvent : LayerEvent
{
    /// <summary>The CloudEvent type of a snapshot's chunk.</summary>
    public const string EventType = "dev.spegel-dapr.layers.snapshot.v1";

    /// <summary>
    /// How old a node's last snapshot may become before it sends another one. What a store loses by itself, such as documents that are evicted or
    /// expire, comes back with it.
    /// </summary>
    public static readonly TimeSpan MostAge = TimeSpan.FromDays(1);

    /// <inheritdoc/>
    public override string Type => EventType;

    /// <summary>Which chunk this is, from 0.</summary>
    public required int Chunk { get; init; }

    /// <summary>How many chunks the snapshot has, at least 1: an empty one has a chunk without keys.</summary>
    public required int Chunks { get; init; }

    /// <summary>This chunk's keys.</summary>
    public required IReadOnlyList<HeldKey> Keys { get; init; }
}

/// <summary>
/// Keys that a node has come to hold and keys it has lost. A tag that has moved, or has been confirmed later, is removed as it was and added as it is.
/// </summary>
public sealed record DeltaEvent : LayerEvent
{
    /// <summary>The CloudEvent type of a delta.</summary>
    public const string EventType = "dev.spegel-dapr.layers.delta.v1";

    /// <inheritdoc/>
    public override string Type => EventType;

    /// <summary>What the node holds no longer; applied before <see cref="Added"/>.</summary>
    public required IReadOnlyList<HeldKey> Removed { get; init; }

    /// <summary>What the node holds now.</summary>
    public required IReadOnlyList<HeldKey> Added { get; init; }
}

/// <summary>A sign of life, which renews the node's lease and says what the resolver should have heard by now.</summary>
public sealed record HeartbeatEvent : LayerEvent
{
    /// <summary>The CloudEvent type of a heartbeat.</summary>
    public const string EventType = "dev.spegel-dapr.layers.heartbeat.v1";

    /// <inheritdoc/>
    public override string Type => EventType;

    /// <summary>What the node holds at <see cref="LayerEvent.Sequence"/>.</summary>
    public required ContentSummary Summary { get; init; }
}

/// <summary>The node's discovery is stopping: its lease ends now.</summary>
public sealed record LeavingEvent : LayerEvent
{
    /// <summary>The CloudEvent type of a leaving.</summary>
    public const string EventType = "dev.spegel-dapr.layers.leaving.v1";

    /// <inheritdoc/>
    public override string Type => EventType;
}

/// <summary>A key that a node holds.</summary>
/// <param name="Key">The digest or tag reference.</param>
/// <param name="Digest">For a tag, the digest it stands for on that node; absent for a digest.</param>
/// <param name="UpdatedAt">For a tag, when the node last pointed it at that digest; of nodes that disagree, the latest is right.</param>
public sealed record HeldKey(ContentKey Key, Digest? Digest = null, DateTimeOffset? UpdatedAt = null) : IJsonOnDeserialized
{
    void IJsonOnDeserialized.OnDeserialized()
    {
        if (Key.IsTag == Digest is null)
        {
            throw new JsonException($"The key '{Key}' must {(Key.IsTag ? "" : "not ")}come with the digest it stands for.");
        }
    }
}

/// <summary>How many keys there are and what they add up to, whatever their order.</summary>
/// <param name="Count">The number of keys.</param>
/// <param name="Checksum">The sum, modulo 2^64, of a 64-bit hash of each key (with its digest, for a tag).</param>
public readonly record struct ContentSummary(long Count, long Checksum)
{
    /// <summary>The summary of one key.</summary>
    public static ContentSummary Of(HeldKey held)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes($"{held.Key} {held.Digest}"), hash);
        return new ContentSummary(1, BinaryPrimitives.ReadInt64BigEndian(hash));
    }

    /// <summary>The summary of several keys.</summary>
    public static ContentSummary Of(IEnumerable<HeldKey> keys) => keys.Aggregate(default(ContentSummary), (sum, held) => sum + Of(held));

    /// <summary>The summary of both sets of keys, which have none in common.</summary>
    public static ContentSummary operator +(ContentSummary left, ContentSummary right) => left.Add(right);

    /// <summary>The summary of the left keys without the right ones, all of which are among them.</summary>
    public static ContentSummary operator -(ContentSummary left, ContentSummary right) => left.Subtract(right);

    /// <summary>As the operator +.</summary>
    public ContentSummary Add(ContentSummary other) => new(Count + other.Count, unchecked(Checksum + other.Checksum));

    /// <summary>As the operator -.</summary>
    public ContentSummary Subtract(ContentSummary other) => new(Count - other.Count, unchecked(Checksum - other.Checksum));
}
