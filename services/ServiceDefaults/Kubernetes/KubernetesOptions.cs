using System.Text.RegularExpressions;

namespace SpegelDapr.ServiceDefaults.Kubernetes;

/// <summary>How the Kubernetes API is reached, and which labels of a node say where it is (section <c>Kubernetes</c>).</summary>
public sealed partial class KubernetesOptions : IValidatedOptions
{
    /// <summary>The section's name.</summary>
    public const string Section = "Kubernetes";

    /// <summary>
    /// Whether nodes are looked up in the Kubernetes API. When it is not set they are in a pod, which has <c>KUBERNETES_SERVICE_HOST</c>, and
    /// wherever <see cref="Kubeconfig"/> is given. A pod without a service account's token must have it off.
    /// </summary>
    public bool? Enabled { get; set; }

    /// <summary>
    /// The kubeconfig file. Without one a pod uses its service account, and other processes what <c>KUBECONFIG</c> names or else
    /// <c>~/.kube/config</c>.
    /// </summary>
    public string Kubeconfig { get; set; } = "";

    /// <summary>The key of the label that holds a node's region.</summary>
    public string RegionLabel { get; set; } = "topology.kubernetes.io/region";

    /// <summary>The key of the label that holds a node's zone.</summary>
    public string ZoneLabel { get; set; } = "topology.kubernetes.io/zone";

    /// <summary>Whether nodes are looked up, by <see cref="Enabled"/> or else by its rule.</summary>
    public bool IsEnabled => Enabled ?? (Kubeconfig.Length > 0 || IsInPod);

    internal static bool IsInPod => Environment.GetEnvironmentVariable("KUBERNETES_SERVICE_HOST") is { Length: > 0 };

    /// <inheritdoc/>
    public IEnumerable<string> Problems()
    {
        if (Kubeconfig.Length > 0 && !File.Exists(Kubeconfig))
        {
            yield return $"Kubernetes:Kubeconfig is '{Kubeconfig}': there is no such file.";
        }

        if (!LabelKey().IsMatch(RegionLabel))
        {
            yield return $"Kubernetes:RegionLabel is '{RegionLabel}': give the key of a label, such as {new KubernetesOptions().RegionLabel} or region.";
        }

        if (!LabelKey().IsMatch(ZoneLabel))
        {
            yield return $"Kubernetes:ZoneLabel is '{ZoneLabel}': give the key of a label, such as {new KubernetesOptions().ZoneLabel} or zone.";
        }
    }

    /// <summary>A name of at most 63 characters, with an optional DNS prefix (Kubernetes' documentation, "Labels and Selectors").</summary>
    [GeneratedRegex(@"\A(?:[a-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\z", RegexOptions.CultureInvariant)]
    private static partial Regex LabelKey();
}
