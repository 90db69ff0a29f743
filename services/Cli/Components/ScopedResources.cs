using SpegelDapr.Contracts;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace SpegelDapr.Cli.Components;

/// <summary>
/// Dapr's resources written for zones: a component with the app ids and topics that may use it, a resiliency with those that it is for, and others as
/// they are.
/// </summary>
internal sealed class ScopedResources(IReadOnlyList<ScopedZone> zones)
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

            if (kind == "Component")
            {
                ScopeComponent(resource);
            }
            else if (kind == "Resiliency")
            {
                Scope(resource, Apps(DaprNames.LayerEvents));
            }

            yield return Write(resource);
        }
    }

    private void ScopeComponent(YamlMappingNode component)
    {
        var name = Text(Map(component, "metadata"), "name") ?? "";
        if (Apps(name) is not { Count: > 0 } apps)
        {
            return;
        }

        Scope(component, apps);
        var metadata = (YamlSequenceNode)Map(component, "spec").Children["metadata"];
        foreach (var (key, value) in TopicScopes.Of(name, zones))
        {
            metadata.Style = YamlDotNet.Core.Events.SequenceStyle.Block;
            metadata.Add(new YamlMappingNode("name", key, "value", value));
        }
    }

    /// <summary>Who uses a component; nobody uses one that is not ours.</summary>
    private List<string> Apps(string component) => component switch
    {
        DaprNames.LayerEvents or DaprNames.LayerSync => [.. zones.SelectMany(zone => new[] { zone.Discovery, zone.Resolver }).Distinct()],
        DaprNames.HolderStore => [.. zones.Select(zone => zone.Resolver).Distinct()],
        _ => [],
    };

    private static void Scope(YamlMappingNode resource, IEnumerable<string> apps) =>
        resource.Children["scopes"] = new YamlSequenceNode(apps.Select(app => new YamlScalarNode(app)));

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
