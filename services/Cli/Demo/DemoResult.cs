using System.Text.Json.Serialization;
using SpegelDapr.Cli.Pull;

namespace SpegelDapr.Cli.Demo;

/// <summary>What the demo prints as JSON.</summary>
/// <param name="Pulls">The pulls, in the order in which they were made.</param>
/// <param name="Ok">Whether all of them succeeded.</param>
/// <param name="Error">Why not, in one line.</param>
internal sealed record DemoResult(
    IReadOnlyList<DemoPull> Pulls,
    bool Ok,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Error = null);

/// <summary>One node's pull.</summary>
internal sealed record DemoPull(string Node, string Region, string Zone, double Seconds, TierBytes Bytes);
