using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Discovery;

/// <summary>Settings of discovery (section <c>Discovery</c>).</summary>
internal sealed class DiscoveryOptions : IValidatedOptions
{
    /// <summary>The section's name.</summary>
    public const string Section = "Discovery";

    /// <summary>The <see cref="Source"/> that is the node's containerd.</summary>
    public const string ContainerdSource = "containerd";

    /// <summary>The <see cref="Source"/> that is an OCI image layout directory.</summary>
    public const string OciLayoutSource = "oci-layout";

    /// <summary>Where the node keeps its content.</summary>
    public string Source { get; set; } = ContainerdSource;

    /// <summary>The time between heartbeats. Resolvers let a node's lease run out when they have heard nothing for a few of them.</summary>
    public TimeSpan HeartbeatInterval { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>The file into which <c>spegel-dapr configure --problems</c> has written what keeps containerd from using the mirror. Empty: there is none.</summary>
    public string ProblemsPath { get; set; } = "";

    /// <inheritdoc/>
    public IEnumerable<string> Problems()
    {
        if (Source is not (ContainerdSource or OciLayoutSource))
        {
            yield return $"Discovery:Source is '{Source}': give {ContainerdSource} or {OciLayoutSource}.";
        }

        if (HeartbeatInterval < TimeSpan.FromMilliseconds(100) || HeartbeatInterval > TimeSpan.FromMinutes(10))
        {
            yield return $"Discovery:HeartbeatInterval is {HeartbeatInterval}: give a time from 00:00:00.100 to 00:10:00.";
        }

        if (ProblemsPath.Length > 0 && !Path.IsPathFullyQualified(ProblemsPath))
        {
            yield return $"Discovery:ProblemsPath is '{ProblemsPath}': give the full path of the file that configure writes, or nothing.";
        }
    }
}
