using System.Text.RegularExpressions;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Discovery.Containerd;

/// <summary>The node's containerd (section <c>Containerd</c>). It may start later than discovery, so nothing here must exist yet.</summary>
internal sealed partial class ContainerdOptions : IValidatedOptions
{
    /// <summary>The section's name.</summary>
    public const string Section = "Containerd";

    /// <summary>containerd's socket.</summary>
    public string Socket { get; set; } = "/run/containerd/containerd.sock";

    /// <summary>The namespace whose images are announced; Kubernetes uses <c>k8s.io</c>.</summary>
    public string Namespace { get; set; } = "k8s.io";

    /// <summary>containerd's content store: the directory that holds <c>blobs</c>.</summary>
    public string ContentPath { get; set; } = "/var/lib/containerd/io.containerd.content.v1.content";

    /// <inheritdoc/>
    public IEnumerable<string> Problems()
    {
        if (!Path.IsPathFullyQualified(Socket) || Socket.Length > LongestSocketPath)
        {
            yield return $"Containerd:Socket is '{Socket}': give the full path of containerd's socket, at most {LongestSocketPath} characters.";
        }

        if (!NamespaceGrammar().IsMatch(Namespace))
        {
            yield return $"Containerd:Namespace is '{Namespace}': give a containerd namespace, such as k8s.io.";
        }

        if (!Path.IsPathFullyQualified(ContentPath))
        {
            yield return $"Containerd:ContentPath is '{ContentPath}': give the full path of containerd's content store, the directory that holds blobs.";
        }
    }

    /// <summary>What fits into <c>sun_path</c>, unix(7), with its final zero.</summary>
    private const int LongestSocketPath = 107;

    /// <summary>The grammar of identifiers in containerd's pkg/identifiers.</summary>
    [GeneratedRegex(@"\A(?=.{1,76}\z)[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*\z", RegexOptions.CultureInvariant)]
    private static partial Regex NamespaceGrammar();
}
