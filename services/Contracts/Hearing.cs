using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpegelDapr.Contracts;

/// <summary>
/// A question to the resolver of a node's zone, after each heartbeat: has all been heard that the node has said? It repeats the heartbeat. Posted to the
/// method <see cref="Method"/>; the answer changes nothing.
/// </summary>
/// <param name="Node">The node that asks.</param>
/// <param name="Location">Where it is.</param>
/// <param name="Epoch">As in the heartbeat.</param>
/// <param name="Sequence">As in the heartbeat.</param>
/// <param name="Summary">As in the heartbeat.</param>
public sealed record HearingRequest(NodeName Node, Location Location, long Epoch, long Sequence, ContentSummary Summary)
{
    /// <summary>The resolver's method, under Dapr service invocation.</summary>
    public const string Method = "v1/heartbeat";
}

/// <summary>What the resolver has heard of a node.</summary>
/// <param name="Heard">Compared with what the node has said.</param>
public sealed record HearingAnswer(Heard Heard);

/// <summary>
/// How what a resolver knows of a node compares with what the node has said. In JSON and metrics: <c>matches</c>, <c>behind</c>, <c>differs</c>,
/// <c>unknown</c>.
/// </summary>
[JsonConverter(typeof(HeardJsonConverter))]
public enum Heard
{
    /// <summary>It is the same, or newer: nothing need be said again.</summary>
    Matches,

    /// <summary>Events are on their way, as far as can be told.</summary>
    Behind,

    /// <summary>Events have been lost, or a snapshot is wanted for another reason: only a snapshot helps.</summary>
    Differs,

    /// <summary>Nothing of this epoch is known: all is on its way, or the store has lost it. Only the node can tell which, by whether it has been known before.</summary>
    Unknown,
}

/// <summary>Names of answers as they are written in JSON and metrics.</summary>
public static class HeardNames
{
    /// <summary>The name in camel case.</summary>
    public static string Name(this Heard heard) => heard switch
    {
        Heard.Matches => "matches",
        Heard.Behind => "behind",
        Heard.Differs => "differs",
        Heard.Unknown => "unknown",
        _ => throw new ArgumentOutOfRangeException(nameof(heard), heard, null),
    };
}

/// <summary>Writes answers by their names in JSON, and reads nothing else.</summary>
public sealed class HeardJsonConverter() : JsonStringEnumConverter<Heard>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);

/// <summary>
/// A wish for a node's snapshot, as the data of a CloudEvent on <see cref="LayerTopics.Wishes"/>: a resolver of another zone lacks something of what the
/// node has said. A resolver of the node's zone tells the node when it next asks.
/// </summary>
/// <param name="Node">The node whose snapshot is wanted.</param>
/// <param name="Epoch">The epoch by which it is known there.</param>
/// <param name="At">When it was wanted. A snapshot that has come since is enough.</param>
public sealed record SnapshotWish(NodeName Node, long Epoch, DateTimeOffset At)
{
    /// <summary>The CloudEvent type of a wish.</summary>
    public const string EventType = "dev.spegel-dapr.layers.wish.v1";
}
