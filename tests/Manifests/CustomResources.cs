using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using k8s;
using k8s.Models;

namespace SpegelDapr.Manifests;

/// <summary>What all custom resources have.</summary>
internal abstract record CustomResource : IKubernetesObject<V1ObjectMeta>
{
    [JsonPropertyName("apiVersion")]
    public string ApiVersion { get; set; } = "";

    [JsonPropertyName("kind")]
    public string Kind { get; set; } = "";

    [JsonPropertyName("metadata")]
    public V1ObjectMeta Metadata { get; set; } = new();
}

/// <summary>The Prometheus operator's PodMonitor, as far as it is used here.</summary>
internal sealed record PodMonitor([property: JsonPropertyName("spec")] PodMonitorSpec Spec) : CustomResource;

internal sealed record PodMonitorSpec(
    [property: JsonPropertyName("selector")] V1LabelSelector Selector,
    [property: JsonPropertyName("podTargetLabels")] IReadOnlyList<string>? PodTargetLabels,
    [property: JsonPropertyName("podMetricsEndpoints")] IReadOnlyList<PodMetricsEndpoint> PodMetricsEndpoints);

internal sealed record PodMetricsEndpoint(
    [property: JsonPropertyName("port")] string Port,
    [property: JsonPropertyName("interval")] string? Interval,
    [property: JsonPropertyName("scrapeTimeout")] string? ScrapeTimeout,
    [property: JsonPropertyName("relabelings")] JsonArray? Relabelings,
    [property: JsonPropertyName("metricRelabelings")] JsonArray? MetricRelabelings);

/// <summary>Dapr's Component (Dapr's documentation, reference/resource-specs/component-schema).</summary>
internal sealed record DaprComponent(
    [property: JsonPropertyName("spec")] DaprComponentSpec Spec,
    [property: JsonPropertyName("scopes")] IReadOnlyList<string>? Scopes,
    [property: JsonPropertyName("auth")] DaprAuth? Auth) : CustomResource;

internal sealed record DaprComponentSpec(
    [property: JsonPropertyName("type")] string Type,
    [property: JsonPropertyName("version")] string Version,
    [property: JsonPropertyName("metadata")] IReadOnlyList<DaprMetadataItem> Metadata,
    [property: JsonPropertyName("ignoreErrors")] bool? IgnoreErrors,
    [property: JsonPropertyName("initTimeout")] string? InitTimeout);

internal sealed record DaprMetadataItem(
    [property: JsonPropertyName("name")] string Name,
    [property: JsonPropertyName("value")] JsonNode? Value,
    [property: JsonPropertyName("secretKeyRef")] DaprSecretKeyRef? SecretKeyRef);

internal sealed record DaprSecretKeyRef([property: JsonPropertyName("name")] string Name, [property: JsonPropertyName("key")] string Key);

internal sealed record DaprAuth([property: JsonPropertyName("secretStore")] string SecretStore);

/// <summary>Dapr's Subscription, as far as it is used here (Dapr's documentation, reference/resource-specs/subscription-schema).</summary>
internal sealed record DaprSubscription(
    [property: JsonPropertyName("spec")] DaprSubscriptionSpec Spec,
    [property: JsonPropertyName("scopes")] IReadOnlyList<string>? Scopes) : CustomResource;

internal sealed record DaprSubscriptionSpec(
    [property: JsonPropertyName("pubsubname")] string PubSubName,
    [property: JsonPropertyName("topic")] string Topic,
    [property: JsonPropertyName("routes")] DaprRoutes Routes);

internal sealed record DaprRoutes([property: JsonPropertyName("default")] string Default);

/// <summary>Dapr's Configuration, as far as it is used here (Dapr's documentation, reference/resource-specs/configuration-schema).</summary>
internal sealed record DaprConfiguration([property: JsonPropertyName("spec")] DaprConfigurationSpec Spec) : CustomResource;

internal sealed record DaprConfigurationSpec(
    [property: JsonPropertyName("tracing")] JsonObject Tracing,
    [property: JsonPropertyName("metrics")] DaprMetrics Metrics,
    [property: JsonPropertyName("accessControl")] DaprAccessControl? AccessControl);

internal sealed record DaprMetrics([property: JsonPropertyName("enabled")] bool Enabled, [property: JsonPropertyName("http")] DaprHttpMetrics Http);

internal sealed record DaprHttpMetrics([property: JsonPropertyName("increasedCardinality")] bool IncreasedCardinality);

internal sealed record DaprAccessControl(
    [property: JsonPropertyName("defaultAction")] string DefaultAction,
    [property: JsonPropertyName("trustDomain")] string TrustDomain,
    [property: JsonPropertyName("policies")] IReadOnlyList<DaprAccessPolicy> Policies);

internal sealed record DaprAccessPolicy(
    [property: JsonPropertyName("appId")] string AppId,
    [property: JsonPropertyName("namespace")] string Namespace,
    [property: JsonPropertyName("trustDomain")] string TrustDomain,
    [property: JsonPropertyName("defaultAction")] string DefaultAction,
    [property: JsonPropertyName("operations")] JsonArray Operations);

/// <summary>Dapr's Resiliency; what is in its spec is not looked at.</summary>
internal sealed record DaprResiliency(
    [property: JsonPropertyName("spec")] JsonObject Spec, [property: JsonPropertyName("scopes")] IReadOnlyList<string>? Scopes) : CustomResource;
