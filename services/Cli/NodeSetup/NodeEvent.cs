using k8s;
using k8s.Autorest;
using k8s.Models;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>
/// Says on a node of Kubernetes that its containerd does not use the mirror: <c>kubectl describe node</c> and <c>kubectl get events</c> show it for an hour.
/// </summary>
internal static class NodeEvent
{
    /// <summary>The Event's reason.</summary>
    public const string Reason = "MirrorNotUsed";

    /// <summary>Where Events of what has no namespace are (Kubernetes' validation of Events).</summary>
    private const string Namespace = "default";

    private const string Component = "spegel-dapr";

    /// <summary>The longest message that the API server takes (Kubernetes' API reference, Event v1 of events.k8s.io, <c>note</c>).</summary>
    private const int LongestMessage = 1024;

    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(10);

    /// <summary>Creates the Event. What keeps it from that is said in one line and is no error: the mirror matters more.</summary>
    /// <param name="node">The node.</param>
    /// <param name="problems">What keeps its containerd from using the mirror.</param>
    /// <param name="kubeconfig">How the API server is reached; null for what <c>KUBECONFIG</c> names, or else the pod's service account.</param>
    /// <param name="progress">Takes the line.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    public static async Task CreateAsync(NodeName node, IReadOnlyList<string> problems, string? kubeconfig, TextWriter progress, CancellationToken cancellationToken)
    {
        using var end = new CancellationTokenSource(Budget);
        using var attempt = CancellationTokenSource.CreateLinkedTokenSource(end.Token, cancellationToken);
        try
        {
            using var client = new k8s.Kubernetes(kubeconfig is null ? KubernetesClientConfiguration.BuildDefaultConfig() : KubernetesClientConfiguration.BuildConfigFromConfigFile(kubeconfig));
            await client.CoreV1.CreateNamespacedEventAsync(Of(node.ToString(), problems), Namespace, cancellationToken: attempt.Token);
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            // KubernetesClient throws whatever it meets in a kubeconfig, and bare exceptions of its own.
            var reason = e is HttpOperationException { Response: { } response } ? $"the API server answers {(int)response.StatusCode}: allow the service account to create events" : e.Message.TrimEnd('.');
            await progress.WriteLineAsync($"No Event is shown on node {node} ({reason.ReplaceLineEndings(" ")}).");
        }
    }

    private static Corev1Event Of(string node, IReadOnlyList<string> problems)
    {
        var (now, message) = (DateTime.UtcNow, string.Join(" ", problems));
        return new Corev1Event
        {
            ApiVersion = "v1",
            Kind = "Event",
            Metadata = new V1ObjectMeta { GenerateName = $"{node}.", NamespaceProperty = Namespace },
            // By its name as uid too: so the kubelet writes its own, and kubectl describe looks for that.
            InvolvedObject = new V1ObjectReference { ApiVersion = "v1", Kind = "Node", Name = node, Uid = node },
            Type = "Warning",
            Reason = Reason,
            Message = message.Length > LongestMessage ? message[..(LongestMessage - 1)] + "…" : message,
            Source = new V1EventSource { Component = Component, Host = node },
            FirstTimestamp = now,
            LastTimestamp = now,
            Count = 1,
        };
    }
}
