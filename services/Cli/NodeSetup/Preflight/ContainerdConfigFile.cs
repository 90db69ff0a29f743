using Tomlyn.Model;

namespace SpegelDapr.Cli.NodeSetup.Preflight;

/// <summary>
/// containerd's configuration file with its imports, as containerd would read it (its cmd/containerd/server/config/config.go and docs/cri/config.md).
/// </summary>
internal static class ContainerdConfigFile
{
    private const string DefaultRoot = "/var/lib/containerd";

    /// <summary>The CRI plugin's names in configurations of version 1, of version 2, and since version 3 that of its part for images.</summary>
    private const string FirstCri = "cri";
    private const string SecondCri = "io.containerd.grpc.v1.cri";
    private const string ImagesCri = "io.containerd.cri.v1.images";

    private const int VersionWithImagesCri = 3;

    /// <summary>Reads the file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="major">containerd's major version, where it is known.</param>
    /// <exception cref="UserErrorException">The file, or one that it imports, cannot be read.</exception>
    public static ContainerdSettings Read(string path, int? major)
    {
        var config = new TomlTable();
        var isFirst = true;
        var plugins = new TomlTable();
        var disabled = new HashSet<string>();
        var version = 1L;
        foreach (var file in WithImports(Path.GetFullPath(path)))
        {
            if (isFirst)
            {
                (version, isFirst) = (file.TryGetValue("version", out var number) && number is long given ? given : 1, false);
            }

            // containerd 1 takes a plugin's section from the last file that has one; containerd 2 merges them.
            Merge(plugins, Table(file, "plugins"), depth: (major ?? (version < VersionWithImagesCri ? 1 : 2)) < 2 ? 1 : int.MaxValue);
            disabled.UnionWith((file.TryGetValue("disabled_plugins", out var names) ? names as TomlArray ?? [] : []).OfType<string>());
            Merge(config, file, depth: 1);
        }

        var first = Table(plugins, version == 1 && plugins.ContainsKey(FirstCri) ? FirstCri : SecondCri);
        var images = Table(plugins, ImagesCri);
        var isOnlyImages = version >= VersionWithImagesCri;
        var configPath = Text(Table(images, "registry"), "config_path");
        var firstConfigPath = Text(Table(first, "registry"), "config_path");
        return new ContainerdSettings(path)
        {
            IsCriDisabled = disabled.Overlaps([FirstCri, SecondCri, ImagesCri]),
            ConfigPath = (isOnlyImages ? configPath : firstConfigPath ?? configPath) ?? "",
            Misplaced = isOnlyImages && configPath is null && firstConfigPath is not null ? (SecondCri, ImagesCri) : null,
            PullsLocally = isOnlyImages ? IsTrue(images, "use_local_image_pull") : null,
            DiscardsUnpackedLayers = IsTrue(images, "discard_unpacked_layers") || (!isOnlyImages && IsTrue(Table(first, "containerd"), "discard_unpacked_layers")),
            Root = Text(config, "root") ?? DefaultRoot,
        };
    }

    /// <summary>The file and what it imports, in the order in which containerd merges them.</summary>
    private static IEnumerable<TomlTable> WithImports(string path)
    {
        var pending = new Queue<string>([path]);
        var loaded = new HashSet<string>();
        while (pending.TryDequeue(out var next))
        {
            if (!loaded.Add(next))
            {
                continue;
            }

            var file = HostsFile.Parse(ReadFile(next), next);
            foreach (var import in (file.TryGetValue("imports", out var imports) ? imports as TomlArray ?? [] : []).OfType<string>())
            {
                foreach (var match in Matches(Path.GetFullPath(import, Path.GetDirectoryName(next)!)))
                {
                    pending.Enqueue(match);
                }
            }

            yield return file;
        }
    }

    private static IEnumerable<string> Matches(string pattern)
    {
        var (directory, name) = (Path.GetDirectoryName(pattern)!, Path.GetFileName(pattern));
        return !pattern.Contains('*', StringComparison.Ordinal) ? [pattern]
            : directory.Contains('*', StringComparison.Ordinal) ? throw new UserErrorException($"imports has '{pattern}': name its directory without a *, or give the file that sets config_path as --containerd-config.")
            : Directory.Exists(directory) ? Directory.EnumerateFiles(directory, name).Order(StringComparer.Ordinal)
            : [];
    }

    private static byte[] ReadFile(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"{path} cannot be read ({e.Message.TrimEnd('.')}): give containerd's configuration as --containerd-config.");
        }
    }

    /// <summary>Takes over what the other table has; tables that both have are merged as long as there is depth left.</summary>
    private static void Merge(TomlTable into, TomlTable from, int depth)
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

    private static TomlTable Table(TomlTable table, string key) => table.TryGetValue(key, out var value) ? value as TomlTable ?? [] : [];

    private static string? Text(TomlTable table, string key) => table.TryGetValue(key, out var value) && value is string { Length: > 0 } text ? text : null;

    private static bool IsTrue(TomlTable table, string key) => table.TryGetValue(key, out var value) && value is true;
}
