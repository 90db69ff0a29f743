using SpegelDapr.Contracts;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;
using YamlDotNet.RepresentationModel;

namespace SpegelDapr.Cli.Components;

/// <summary>
/// Dapr's resources written for zones: a component with the app ids and topics that may use it, and with that of layer events a subscription for each zone
/// to each that it hears; others as they are. A resiliency is for all apps, as it names components of ours alone: Dapr starts each sidecar's runtime again when a
/// resiliency changes, which its scopes would with each new zone.
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

        foreach (var root in yaml.Documents.Select(document => document.RootNode).Where(root => root is not YamlScalarNode { Value: null or "" }))
        {
            if (root is not YamlMappingNode resource || Text(resource, "kind") is not { } kind)
            {
                throw new UserErrorException($"{file}: not a Dapr resource: it has no kind.");
            }

            if (kind != "Component")
            {
                yield return Write(resource);
                continue;
            }

            var name = Name(resource);
            ScopeComponent(resource, name, file);

            // Before the component: a sidecar that has waited for it asks its app what to subscribe to when it comes, and the app what is declared.
            foreach (var (zone, heard) in zones.Where(_ => name == DaprNames.LayerEvents).SelectMany(zone => zone.Heard, (zone, heard) => (zone, heard)))
            {
                yield return Write(Subscription(zone, heard));
            }

            yield return Write(resource);
        }
    }

    /// <summary>
    /// What a zone's resolvers hear of another, which running sidecars take in (Dapr's documentation, Declarative and hot reloaded subscriptions). There is one
    /// for each pair of zones, so that a new zone changes none. Zones have no dots, so the name is that of no other pair, and at most 110 characters of a
    /// DNS subdomain's 253.
    /// </summary>
    private static YamlMappingNode Subscription(ScopedZone hearer, Location heard) => new(
        "apiVersion", "dapr.io/v2alpha1",
        "kind", "Subscription",
        "metadata", new YamlMappingNode("name", $"{DaprNames.LayerEvents}.{hearer.Location.Zone}.{heard.Zone}"),
        "spec", new YamlMappingNode(
            "pubsubname", DaprNames.LayerEvents,
            "topic", LayerTopics.Events(heard),
            "routes", new YamlMappingNode("default", LayerTopics.EventPath(heard.Region, heard.Zone))),
        "scopes", new YamlSequenceNode(new YamlScalarNode(hearer.Resolver)));

    private static string Name(YamlMappingNode resource) =>
        resource.Children.TryGetValue("metadata", out var own) && own is YamlMappingNode metadata ? Text(metadata, "name") ?? "" : "";

    private void ScopeComponent(YamlMappingNode component, string name, string file)
    {
        if (Apps(name) is not { Count: > 0 } apps)
        {
            return;
        }

        Scope(component, apps);
        if (name != DaprNames.LayerEvents)
        {
            return;
        }

        var settings = Settings(component) ?? throw new UserErrorException($"{file}: {name} has no spec with a list as its metadata.");
        settings.Style = SequenceStyle.Block;
        foreach (var (key, value) in TopicScopes.Of(zones))
        {
            foreach (var other in settings.Where(setting => setting is YamlMappingNode map && Text(map, "name") == key).ToList())
            {
                settings.Children.Remove(other);
            }

            settings.Add(new YamlMappingNode("name", key, "value", value));
        }
    }

    /// <summary>The list of a component's settings, made where there is none; null where that cannot be.</summary>
    private static YamlSequenceNode? Settings(YamlMappingNode component)
    {
        if (!component.Children.TryGetValue("spec", out var node) || node is not YamlMappingNode spec)
        {
            return null;
        }

        if (!spec.Children.TryGetValue("metadata", out var metadata) || metadata is YamlScalarNode { Value: null or "" })
        {
            spec.Children["metadata"] = metadata = new YamlSequenceNode();
        }

        return metadata as YamlSequenceNode;
    }

    /// <summary>Who uses a component; nobody uses one that is not ours.</summary>
    private List<string> Apps(string component) => component switch
    {
        DaprNames.LayerEvents => [.. zones.SelectMany(zone => new[] { zone.Discovery, zone.Resolver })],
        DaprNames.HolderStore => [.. zones.Select(zone => zone.Resolver)],
        _ => [],
    };

    private static void Scope(YamlMappingNode resource, IEnumerable<string> apps) =>
        resource.Children["scopes"] = new YamlSequenceNode(apps.Select(app => new YamlScalarNode(app)));

    private static string Write(YamlMappingNode resource)
    {
        using var text = new StringWriter { NewLine = "\n" };
        new YamlStream(new YamlDocument(resource)).Save(text, assignAnchors: false);

        // It ends each document with a line of its own.
        const string End = "...\n";
        var written = text.ToString();
        return written.EndsWith("\n" + End, StringComparison.Ordinal) ? written[..^End.Length] : written;
    }

    private static string? Text(YamlMappingNode node, string key) => node.Children.TryGetValue(key, out var child) ? (child as YamlScalarNode)?.Value : null;
}
