namespace SpegelDapr.Cli.NodeSetup.Preflight;

/// <summary>Where containerd reads what concerns images.</summary>
/// <param name="Version">The version of the configuration in which it is so; null for a file that says none.</param>
/// <param name="Registry">The table that has <c>config_path</c>.</param>
/// <param name="Layers">The table that has <c>discard_unpacked_layers</c>.</param>
internal sealed record ImageTables(long? Version, string Registry, string Layers)
{
    /// <summary>Those of a new file for a containerd.</summary>
    public static ImageTables Of(Version? containerd) => containerd < CriSections.SecondVersion
        ? Of(2, CriSections.SecondCri, $"\"{CriSections.SecondCri}\".containerd")
        : Of(CriSections.VersionWithImagesCri, CriSections.ImagesCri, $"\"{CriSections.ImagesCri}\"");

    /// <summary>Those in the section of a plugin.</summary>
    public static ImageTables Of(long? version, string plugin, string layers) => new(version, $"[plugins.\"{plugin}\".registry]", $"[plugins.{layers}]");

    /// <summary>The lines by which containerd reads a directory of registries.</summary>
    public IReadOnlyList<string> ConfigPath(string directory) => Lines(Registry, $"config_path = \"{directory}\"");

    /// <summary>The lines by which it keeps layers.</summary>
    public IReadOnlyList<string> KeepLayers() => Lines(Layers, "discard_unpacked_layers = false");

    private string[] Lines(string table, string setting) => [.. Version is null ? Array.Empty<string>() : [$"version = {Version}"], table, $"  {setting}"];
}
