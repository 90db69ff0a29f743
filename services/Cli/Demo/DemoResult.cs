using System.Text.Json.Serialization;
using SpegelDapr.Cli.Pull;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Demo;

/// <summary>What the demo prints as JSON.</summary>
/// <param name="Pulls">The pulls that succeeded: in the order in which they were made, or of the nodes if all pulled at the same time.</param>
/// <param name="Ok">Whether all of them succeeded.</param>
/// <param name="Error">Why not, in one line.</param>
/// <param name="UpstreamRequests">How many GETs of layers the registry had; null when that was not counted.</param>
/// <param name="AloneSeconds">How long one node alone takes for the image, by the rate of its link; null where links have no limit.</param>
internal sealed record DemoResult(
    IReadOnlyList<DemoPull> Pulls,
    [property: JsonPropertyOrder(1)] bool Ok,
    [property: JsonPropertyOrder(1), JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Error = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] int? UpstreamRequests = null,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? AloneSeconds = null);

/// <summary>One node's pull.</summary>
/// <param name="Node">The node.</param>
/// <param name="Region">Its region.</param>
/// <param name="Zone">Its zone.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="Bytes">Bytes by tier.</param>
/// <param name="Relayed">How many of them came from a node that was still downloading them.</param>
/// <param name="FedBy">Who gave it the layers, who gave the most first; null when that was not counted.</param>
internal sealed record DemoPull(
    string Node,
    string Region,
    string Zone,
    double Seconds,
    TierBytes Bytes,
    long Relayed,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<DemoFeed>? FedBy = null)
{
    /// <summary>What a pull on a node has come to.</summary>
    public static DemoPull Of(NodeIdentity node, PullResult result) =>
        new(node.Name.ToString(), node.Location.Region, node.Location.Zone, result.Seconds, result.Bytes, result.Relayed);
}

/// <summary>What somebody has given to a node.</summary>
/// <param name="Node">The node that gave it; null for the registry.</param>
/// <param name="Bytes">How many bytes.</param>
internal sealed record DemoFeed([property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Node, long Bytes)
{
    /// <summary>The registry, for people.</summary>
    public const string Registry = "the registry";

    /// <summary>Who gave it, for people.</summary>
    [JsonIgnore]
    public string Name => Node ?? Registry;
}
