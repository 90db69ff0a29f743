using Tomlyn.Model;

namespace SpegelDapr.Cli.NodeSetup.Preflight;

/// <summary>Looks into tables whose values may be of any kind.</summary>
internal static class Toml
{
    /// <summary>A table in a table; an empty one where there is none.</summary>
    public static TomlTable Table(TomlTable table, string key) => table.TryGetValue(key, out var value) ? value as TomlTable ?? [] : [];

    /// <summary>The strings in a list; none where there is no list.</summary>
    public static IEnumerable<string> Texts(TomlTable table, string key) => (table.TryGetValue(key, out var value) ? value as TomlArray ?? [] : []).OfType<string>();

    /// <summary>A string; null for an empty one too.</summary>
    public static string? Text(TomlTable table, string key) => table.TryGetValue(key, out var value) && value is string { Length: > 0 } text ? text : null;

    /// <summary>Whether a switch is there and is so.</summary>
    public static bool Is(TomlTable table, string key, bool expected) => table.TryGetValue(key, out var value) && value is bool given && given == expected;

    /// <summary>Takes over what the other table has; tables that both have are merged as long as there is depth left.</summary>
    public static void Merge(TomlTable into, TomlTable from, int depth)
    {
        foreach (var (key, value) in from)
        {
            if (depth > 1 && value is TomlTable table && into.TryGetValue(key, out var existing) && existing is TomlTable existingTable)
            {
                Merge(existingTable, table, depth - 1);
            }
            else
            {
                into[key] = value;
            }
        }
    }
}
