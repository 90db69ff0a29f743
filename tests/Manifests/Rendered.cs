using System.Collections.Concurrent;
using System.Net;
using k8s;
using k8s.Models;
using Microsoft.Extensions.Configuration;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Manifests;

/// <summary>What an overlay becomes.</summary>
internal sealed class Rendered(IReadOnlyList<IKubernetesObject<V1ObjectMeta>> objects)
{
    private static readonly ConcurrentDictionary<string, Lazy<Task<Rendered>>> Overlays = new();

    /// <summary>An overlay, or another directory below <c>k8s</c> with a kustomization.</summary>
    public static Task<Rendered> KustomizeAsync(string directory) => Overlays.GetOrAdd(
        directory,
        _ => new(async () => new Rendered(StrictYaml.Read(await Programs.RunAsync("kubectl", "kustomize", Checkout.Path($"k8s/{directory}")))))).Value;

    public IReadOnlyList<IKubernetesObject<V1ObjectMeta>> Objects => objects;

    public IEnumerable<T> All<T>() => objects.OfType<T>();

    /// <summary>The pods of workloads, by what makes them.</summary>
    public IEnumerable<(string Name, V1PodTemplateSpec Pod)> Pods =>
        All<V1DaemonSet>().Select(set => (set.Metadata.Name, set.Spec.Template)).Concat(All<V1Deployment>().Select(set => (set.Metadata.Name, set.Spec.Template)));

    /// <summary>All containers of all pods, those that run before the others too.</summary>
    public IEnumerable<(V1PodSpec Pod, V1Container Container)> Containers =>
        Pods.SelectMany(pod => (pod.Pod.Spec.InitContainers ?? []).Concat(pod.Pod.Spec.Containers), (pod, container) => (pod.Pod.Spec, container));

    /// <summary>The environment of a container, as the kubelet makes it on a node at <see cref="HostAddress"/>.</summary>
    /// <param name="container">The container.</param>
    /// <param name="fields">What the pod's fields are.</param>
    public Dictionary<string, string> Environment(V1Container container, IReadOnlyDictionary<string, string>? fields = null)
    {
        var variables = (container.EnvFrom ?? [])
            .Select(source => All<V1ConfigMap>().Single(map => map.Metadata.Name == source.ConfigMapRef.Name))
            .SelectMany(map => map.Data)
            .ToDictionary();
        var own = new Dictionary<string, string>();
        foreach (var variable in container.Env ?? [])
        {
            own[variable.Name] = variable.ValueFrom?.FieldRef.FieldPath is { } path ? (fields ?? Fields)[path] : Expand(variable.Value, own);
        }

        foreach (var (name, value) in own)
        {
            variables[name] = value;
        }

        return variables;
    }

    /// <summary>Its settings.</summary>
    public IConfigurationRoot Configuration(V1Container container, IReadOnlyDictionary<string, string>? fields = null) => new ConfigurationBuilder()
        .AddInMemoryCollection(Environment(container, fields).Select(variable => KeyValuePair.Create(variable.Key.Replace("__", ":", StringComparison.Ordinal), (string?)variable.Value)))
        .Build();

    /// <summary>Options of a container.</summary>
    public T Options<T>(V1Container container)
        where T : IValidatedOptions, new() => Configuration(container).GetSection((string)typeof(T).GetField("Section")!.GetValue(null)!).Get<T>() ?? new T();

    public static IPAddress HostAddress { get; } = IPAddress.Parse("10.1.2.3");

    public static IPAddress PodAddress { get; } = IPAddress.Parse("10.244.7.8");

    /// <summary>A pod's fields on a node of IPv6 alone: Kubernetes writes its addresses without brackets.</summary>
    public static Dictionary<string, string> IPv6Fields { get; } = new()
    {
        ["spec.nodeName"] = "worker-1",
        ["status.hostIP"] = "fd00::3",
        ["status.podIP"] = "fd00:0:0:7::8",
    };

    private static Dictionary<string, string> Fields { get; } = new()
    {
        ["spec.nodeName"] = "worker-1",
        ["status.hostIP"] = HostAddress.ToString(),
        ["status.podIP"] = PodAddress.ToString(),
    };

    /// <summary>Only variables that come before in the container's own list are known (Kubernetes' documentation, "Define Dependent Environment Variables").</summary>
    public static string Expand(string value, IReadOnlyDictionary<string, string> known) =>
        known.Aggregate(value, (text, variable) => text.Replace($"$({variable.Key})", variable.Value, StringComparison.Ordinal));
}
