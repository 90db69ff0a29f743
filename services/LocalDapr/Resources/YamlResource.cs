using YamlDotNet.RepresentationModel;

namespace SpegelDapr.LocalDapr.Resources;

/// <summary>A mapping in a YAML file, read by path. What is absent is empty.</summary>
internal sealed class YamlResource(string file, YamlMappingNode node)
{
    /// <summary>The file it comes from, for messages.</summary>
    public string File => file;

    /// <summary>The keys of the mapping at the path.</summary>
    public List<string> Keys(params ReadOnlySpan<string> path) =>
        Find(path) is YamlMappingNode mapping ? [.. mapping.Children.Keys.OfType<YamlScalarNode>().Select(key => key.Value ?? "")] : [];

    /// <summary>Whether there is anything at the key.</summary>
    public bool Has(string key) => Find([key]) is not null;

    /// <summary>The scalar at the path, or an empty string.</summary>
    public string Text(params ReadOnlySpan<string> path) => Find(path) is YamlScalarNode { Value: { } value } ? value : "";

    /// <summary>The scalar at the path.</summary>
    /// <exception cref="LocalDaprException">There is none.</exception>
    public string Required(params ReadOnlySpan<string> path) =>
        Text(path) is { Length: > 0 } text ? text : throw new LocalDaprException($"{file}:{node.Start.Line}: '{string.Join('.', path!)}' is missing.");

    /// <summary>The scalars of the list at the path.</summary>
    public List<string> List(params ReadOnlySpan<string> path) =>
        Find(path) is YamlSequenceNode list ? [.. list.OfType<YamlScalarNode>().Select(item => item.Value ?? "")] : [];

    /// <summary>The mappings of the list at the path.</summary>
    public List<YamlResource> Items(params ReadOnlySpan<string> path) =>
        Find(path) is YamlSequenceNode list ? [.. list.OfType<YamlMappingNode>().Select(item => new YamlResource(file, item))] : [];

    /// <summary>The mappings at the path, by key.</summary>
    public List<KeyValuePair<string, YamlResource>> Entries(params ReadOnlySpan<string> path) =>
        Find(path) is not YamlMappingNode mapping
            ? []
            : [.. from entry in mapping
                  where entry.Value is YamlMappingNode
                  select KeyValuePair.Create(((YamlScalarNode)entry.Key).Value ?? "", new YamlResource(file, (YamlMappingNode)entry.Value))];

    /// <summary>The scalars at the path, by key.</summary>
    public Dictionary<string, string> Texts(params ReadOnlySpan<string> path) =>
        Find(path) is not YamlMappingNode mapping
            ? []
            : mapping.Where(entry => entry.Value is YamlScalarNode)
                .ToDictionary(entry => ((YamlScalarNode)entry.Key).Value ?? "", entry => ((YamlScalarNode)entry.Value).Value ?? "");

    private YamlNode? Find(ReadOnlySpan<string> path)
    {
        YamlNode found = node;
        foreach (var key in path)
        {
            if (found is not YamlMappingNode mapping || !mapping.Children.TryGetValue(new YamlScalarNode(key), out found!))
            {
                return null;
            }
        }

        return found;
    }
}
