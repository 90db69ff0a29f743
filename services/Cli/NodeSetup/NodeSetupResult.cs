using System.Text.Json.Serialization;
using SpegelDapr.Cli.NodeSetup.Preflight;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>What <c>configure</c> and <c>cleanup</c> print as JSON.</summary>
/// <param name="Changes">What has become of the files.</param>
/// <param name="Preflight">What containerd's configuration is found to be.</param>
/// <param name="Ok">Whether the command succeeded.</param>
/// <param name="Error">Why not, in one line.</param>
internal sealed record NodeSetupResult(
    IReadOnlyList<NodeSetupChange> Changes,
    IReadOnlyList<PreflightFinding> Preflight,
    bool Ok,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Error = null);

/// <summary>What has become of one <c>hosts.toml</c>.</summary>
/// <param name="File">Its path.</param>
/// <param name="Kind">What was done.</param>
/// <param name="SetAside">The hosts that were there before and are not asked until it is restored.</param>
internal sealed record NodeSetupChange(string File, ChangeKind Kind, IReadOnlyList<string> SetAside);

/// <summary>What was done to a file.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ChangeKind>))]
internal enum ChangeKind
{
    /// <summary>It is ours now, or has become another one of ours.</summary>
    [JsonStringEnumMemberName("written")]
    Written,

    /// <summary>It is as it should be already.</summary>
    [JsonStringEnumMemberName("unchanged")]
    Unchanged,

    /// <summary>It is as it was before us.</summary>
    [JsonStringEnumMemberName("restored")]
    Restored,
}
