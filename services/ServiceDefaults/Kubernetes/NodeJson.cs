using System.Text.Json;
using System.Text.Json.Serialization;
using SpegelDapr.Contracts;

namespace SpegelDapr.ServiceDefaults.Kubernetes;

/// <summary>
/// What is read of the API's objects (Kubernetes' API reference, Node v1). A node's full object is large, mostly by the images that it lists,
/// and there may be thousands of nodes.
/// </summary>
internal sealed record NodeObject(NodeMetadata Metadata, NodeStatus? Status)
{
    /// <summary>The node, by the labels that the options name.</summary>
    public ClusterNode ToNode(KubernetesOptions options) => new(
        Metadata.Name,
        Metadata.Labels?.GetValueOrDefault(options.RegionLabel),
        Metadata.Labels?.GetValueOrDefault(options.ZoneLabel),
        Status?.Conditions?.Any(condition => condition is { Type: "Ready", Status: "True" }) ?? false);
}

internal sealed record NodeMetadata(NodeName Name, string? ResourceVersion, IReadOnlyDictionary<string, string>? Labels);

internal sealed record NodeStatus(IReadOnlyList<NodeCondition>? Conditions);

internal sealed record NodeCondition(string Type, string Status);

internal sealed record NodeListObject(NodeListMetadata Metadata, IReadOnlyList<NodeObject>? Items);

internal sealed record NodeListMetadata(string ResourceVersion, string? Continue);

/// <summary>An event of a watch. Its object is a node, or a <see cref="StatusObject"/> when the type is <c>ERROR</c>.</summary>
internal sealed record WatchEvent(string Type, JsonElement Object);

/// <summary>Why the API server refuses (Kubernetes' API reference, Status).</summary>
internal sealed record StatusObject(int? Code, string? Message);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(NodeObject))]
[JsonSerializable(typeof(NodeListObject))]
[JsonSerializable(typeof(WatchEvent))]
[JsonSerializable(typeof(StatusObject))]
internal sealed partial class NodeJson : JsonSerializerContext;
