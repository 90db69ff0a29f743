using SpegelDapr.Contracts;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace SpegelDapr.Cli.Components;

/// <summary>
/// Dapr's resources written for zones: a component with the app ids and topics that may use it, a configuration for each zone's resolvers, and others
/// as they are.
/// </summary>
internal sealed class ScopedResources(IReadOnlyList<ScopedZone> zones, string kubernetesNamespace)
{
    /// <summary>The resources of a file, as a YAML document each.</summary>
    /// <exception cref="UserErrorException">It is no YAML, or no resource.</exception>
    public IEnumerable<string> Read(string file)
    {
        var yaml = new YamlStream();
        try
        {
            using var reader = new StreamReader(file);
            yaml.Load(reader);
        }
        catch (YamlException e)
        {
            throw new UserErrorException($"{file}:{e.Start.Line}: not well-formed YAML: {e.InnerException?.Message ?? e.Message}");
        }

        foreach (var root in yaml.Documents.Select(document => document.RootNode))
        {
            if (root is not YamlMappingNode resource || Text(resource, "kind") is not { } kind)
            {
                throw new UserErrorException($"{file}: not a Dapr resource: it has no kind.");
            }

            switch (kind)
            {
                case "Component":
                    Scope(resource);
                    yield return Write(resource);
                    break;
                case "Configuration":
                    foreach (var zone in zones)
                    {
                        Address(resource, zone);
                        yield return Write(resource);
                    }

                    break;
                default:
                    yield return Write(resource);
                    break;
            }
        }
    }

    private void Scope(YamlMappingNode component)
    {
        var name = Text(Map(component, "metadata"), "name") ?? "";
        var apps = name switch
        {
            DaprNames.LayerEvents or DaprNames.LayerSync => zones.SelectMany(zone => new[] { zone.Discovery, zone.Resolver }),
            DaprNames.HolderStore => zones.Select(zone => zone.Resolver),
            _ => [],
        };
        var scopes = new YamlSequenceNode(apps.Distinct().Select(app => new YamlScalarNode(app)));
        if (scopes.Children.Count == 0)
        {
            return;
        }

        component.Children["scopes"] = scopes;
        var metadata = (YamlSequenceNode)Map(component, "spec").Children["metadata"];
        foreach (var (key, value) in TopicScopes.Of(name, zones))
        {
            metadata.Style = YamlDotNet.Core.Events.SequenceStyle.Block;
            metadata.Add(new YamlMappingNode("name", key, "value", value));
        }
    }

    private void Address(YamlMappingNode configuration, ScopedZone zone)
    {
        Map(configuration, "metadata").Children["name"] = zone.Resolver;
        foreach (var policy in ((YamlSequenceNode)Map(Map(configuration, "spec"), "accessControl").Children["policies"]).OfType<YamlMappingNode>())
        {
            policy.Children["appId"] = zone.Discovery;
            policy.Children["namespace"] = kubernetesNamespace;
        }
    }

    private static string Write(YamlMappingNode resource)
    {
        using var text = new StringWriter { NewLine = "\n" };
        new YamlStream(new YamlDocument(resource)).Save(text, assignAnchors: false);
        return text.ToString().TrimEnd('.', '\n') + "\n";
    }

    private static YamlMappingNode Map(YamlMappingNode node, string key) =>
        node.Children.TryGetValue(key, out var child) && child is YamlMappingNode map
            ? map
            : throw new UserErrorException($"A Dapr resource has no '{key}' where it must have one: {string.Join(", ", node.Children.Keys)}.");

    private static string? Text(YamlMappingNode node, string key) => node.Children.TryGetValue(key, out var child) ? (child as YamlScalarNode)?.Value : null;
}
