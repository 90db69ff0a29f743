namespace SpegelDapr.LocalDapr;

/// <summary>An app and what its sidecar is to be: what daprd's flags say.</summary>
/// <param name="AppId">The app's id, unique per app and shared by its instances.</param>
public sealed record AppSpec(string AppId)
{
    /// <summary>The namespace of apps that are given none.</summary>
    internal const string DefaultNamespace = "default";

    /// <summary>daprd's interval (dapr/pkg/runtime/hotreload/reconciler).</summary>
    internal static readonly TimeSpan DefaultReconcileInterval = TimeSpan.FromSeconds(60);

    /// <summary>The port on which the app listens for deliveries and invocations; null when it only calls.</summary>
    public int? AppPort { get; init; }

    /// <summary>The address on which the app listens.</summary>
    public string AppChannelAddress { get; init; } = "127.0.0.1";

    /// <summary>The port of the sidecar's HTTP API on loopback; 0 takes a free one.</summary>
    public int HttpPort { get; init; }

    /// <summary>The port of the sidecar's gRPC API on loopback; 0 takes a free one.</summary>
    public int GrpcPort { get; init; }

    /// <summary>Directories, or files, of Dapr resources in YAML.</summary>
    public IReadOnlyList<string> ResourcesPaths { get; init; } = [];

    /// <summary>Components beside those in <see cref="ResourcesPaths"/>.</summary>
    public IReadOnlyList<Component> Components { get; init; } = [];

    /// <summary>The file of a Dapr <c>Configuration</c> (daprd's <c>--config</c>), of which the feature <c>HotReload</c> is read; null for none.</summary>
    public string? ConfigPath { get; init; }

    /// <summary>How often resources are read though no change of a file was seen (daprd's <c>--hot-reload-reconcile-interval</c>).</summary>
    public TimeSpan ReconcileInterval { get; init; } = DefaultReconcileInterval;

    /// <summary>The token that callers of the sidecar must send in <c>dapr-api-token</c> (daprd's <c>DAPR_API_TOKEN</c>); null asks for none.</summary>
    public string? DaprApiToken { get; init; }

    /// <summary>The token that the sidecar sends to the app in <c>dapr-api-token</c> (daprd's <c>APP_API_TOKEN</c>); null sends none.</summary>
    public string? AppApiToken { get; init; }

    /// <summary>The namespace (daprd's <c>NAMESPACE</c>), for <c>{namespace}</c> in component metadata and the key prefix of that name.</summary>
    public string? Namespace { get; init; }

    /// <summary>The pod's name (daprd's <c>POD_NAME</c>), for <c>{podName}</c> in component metadata.</summary>
    public string? PodName { get; init; }

    /// <summary>
    /// The directory in which sidecars of different processes find each other's apps; null when those of this host are all. Apps of this
    /// host are found first.
    /// </summary>
    public string? ResolutionDirectory { get; init; }
}
