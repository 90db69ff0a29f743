using System.Text.Json;
using YamlDotNet.RepresentationModel;

namespace SpegelDapr.Unit.Components;

/// <summary>The project's Dapr resources, as files.</summary>
internal static class ComponentSets
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    public static string Directory { get; } = Checkout.Path("components");

    /// <summary>The backend sets.</summary>
    public static IEnumerable<string> Names =>
        new DirectoryInfo(Directory).EnumerateDirectories().Select(folder => folder.Name).Where(name => name != "common").Order(StringComparer.Ordinal);

    /// <summary>What the metadata of component types may hold, from components-contrib's metadata.yaml of each.</summary>
    public static IReadOnlyDictionary<string, ComponentType> Types { get; } = JsonSerializer.Deserialize<Dictionary<string, ComponentType>>(
        File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Components", "component-metadata.json")), Json)!;

    /// <summary>The one resource of a file.</summary>
    public static YamlMappingNode Read(string file) => Assert.Single(ReadAll(file));

    /// <summary>The resources of a file.</summary>
    public static IReadOnlyList<YamlMappingNode> ReadAll(string file)
    {
        var yaml = new YamlStream();
        using var reader = new StreamReader(Path.Combine(Directory, file));
        yaml.Load(reader);
        return [.. yaml.Documents.Select(document => (YamlMappingNode)document.RootNode)];
    }

    /// <summary>The scalar at a path; null when there is none.</summary>
    public static string? Text(this YamlNode node, params string[] path) => (node.At(path) as YamlScalarNode)?.Value;

    /// <summary>The node at a path; null when there is none.</summary>
    public static YamlNode? At(this YamlNode node, params string[] path)
    {
        var found = node;
        foreach (var key in path)
        {
            if (found is not YamlMappingNode map || !map.Children.TryGetValue(key, out found))
            {
                return null;
            }
        }

        return found;
    }
}

/// <summary>A component type of Dapr.</summary>
/// <param name="Version">Its version.</param>
/// <param name="Required">The fields that it needs in any case.</param>
/// <param name="Authentication">The fields that each of its ways to authenticate needs; one of them must be complete.</param>
/// <param name="Secret">The fields that are secrets.</param>
/// <param name="Fields">All its fields.</param>
internal sealed record ComponentType(
    string Version, IReadOnlyList<string> Required, IReadOnlyList<IReadOnlyList<string>> Authentication, IReadOnlyList<string> Secret, IReadOnlyList<string> Fields);
