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

    /// <summary>What a CRI plugin downloads at a time unless it is told otherwise (containerd's internal/cri/config/config_unix.go).</summary>
    private const long DefaultDownloads = 3;

    private static readonly Version FirstVersion = new(1, 6);
    private static readonly Version SecondVersion = new(2, 0);

    /// <summary>The first containerd that brings each file to its own version of the configuration; earlier ones do so with the whole, if at all.</summary>
    private static readonly Version EachFileVersion = new(2, 3);

    /// <summary>What the part for images takes over from a CRI plugin of version 2, and from its table <c>containerd</c> (migrateConfig in plugins/cri/images/plugin.go).</summary>
    private static readonly string[] ImageSettings = ["registry", "max_concurrent_downloads", "image_pull_with_sync_fs"];
    private static readonly string[] SnapshotSettings = ["disable_snapshot_annotations", "discard_unpacked_layers"];

    /// <summary>Reads the file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="containerd">containerd's version, where it is known.</param>
    /// <exception cref="UserErrorException">The file, or one that it imports, cannot be read.</exception>
    public static ContainerdSettings Read(string path, Version? containerd)
    {
        if (path.Length == 0)
        {
            throw new UserErrorException("--containerd-config is empty: give the path of containerd's configuration.");
        }

        List<TomlTable> files = [.. WithImports(Path.GetFullPath(path))];
        var reader = containerd ?? (files.Exists(file => VersionOf(file) >= VersionWithImagesCri || Table(file, "plugins").ContainsKey(ImagesCri)) ? EachFileVersion : FirstVersion);
        var config = new TomlTable();
        var disabled = new HashSet<string>();
        foreach (var file in files)
        {
            disabled.UnionWith((file.TryGetValue("disabled_plugins", out var names) ? names as TomlArray ?? [] : []).OfType<string>());
            Merge(config, file, depth: 1);
        }

        var (here, there, used, unused) = reader < SecondVersion ? ReadByFirst(files) : ReadBySecond(files, reader);
        var snapshots = reader < SecondVersion ? Table(used, "containerd") : used;
        var registry = Table(used, "registry");
        var configPath = Text(registry, "config_path");
        var discards = IsSet(snapshots, "discard_unpacked_layers", true);
        var hasMirrors = Table(registry, "mirrors").Count > 0;
        return new ContainerdSettings(path)
        {
            IsCriDisabled = disabled.Overlaps([FirstCri, SecondCri, ImagesCri]),
            ConfigPath = configPath ?? "",
            Misplaced = configPath is null && Text(Table(unused, "registry"), "config_path") is not null ? (there, here) : null,
            PullsLocally = reader < SecondVersion ? null
                : IsSet(used, "use_local_image_pull", true)

                // What the transfer service cannot do (CheckLocalImagePullConfigs in internal/cri/config/config.go).
                || discards || hasMirrors || Table(registry, "configs").Count > 0 || Table(registry, "auths").Count > 0
                || IsSet(used, "disable_snapshot_annotations", false) || IsSet(used, "image_pull_with_sync_fs", true)
                || (used.TryGetValue("max_concurrent_downloads", out var downloads) && downloads is long number && number != DefaultDownloads),
            DiscardsUnpackedLayers = discards,
            HasMirrors = hasMirrors,
            HasTls = reader < SecondVersion && Table(registry, "configs").Values.Any(host => host is TomlTable table && table.ContainsKey("tls")),
            Root = Text(config, "root") ?? DefaultRoot,
        };
    }

    /// <summary>containerd 1 takes a plugin's section from the last file that has one, and the version from the last file that says one.</summary>
    private static CriSections ReadByFirst(List<TomlTable> files)
    {
        var plugins = new TomlTable();
        var version = 1L;
        foreach (var file in files)
        {
            Merge(plugins, Table(file, "plugins"), depth: 1);
            version = VersionOf(file) is > 0 and var given ? given : version;
        }

        var cri = version == 1 && plugins.ContainsKey(FirstCri) ? FirstCri : SecondCri;
        return new CriSections(cri, ImagesCri, Table(plugins, cri), Table(plugins, ImagesCri));
    }

    /// <summary>containerd 2 merges a plugin's sections, and brings them to the version that has a part for images.</summary>
    private static CriSections ReadBySecond(List<TomlTable> files, Version containerd)
    {
        var plugins = new TomlTable();
        var version = (long)VersionWithImagesCri;
        foreach (var file in files)
        {
            var own = Table(file, "plugins");
            var given = VersionOf(file);
            if (given < 2)
            {
                Move(own, [FirstCri], own, SecondCri);
            }

            if (containerd >= EachFileVersion && given < VersionWithImagesCri)
            {
                MoveImages(own);
            }

            Merge(plugins, own, depth: int.MaxValue);
            version = given < 2 ? version : given;
        }

        if (containerd < EachFileVersion && version < VersionWithImagesCri)
        {
            MoveImages(plugins);
        }

        return new CriSections(ImagesCri, SecondCri, Table(plugins, ImagesCri), Table(plugins, SecondCri));
    }

    private static void MoveImages(TomlTable plugins)
    {
        var cri = Table(plugins, SecondCri);
        var images = Table(plugins, ImagesCri);
        Move(cri, ImageSettings, images);
        var snapshots = Table(cri, "containerd");
        if (snapshots.ContainsKey("runtimes"))
        {
            Move(snapshots, SnapshotSettings, images);
        }

        plugins[ImagesCri] = images;
    }

    private static void Move(TomlTable from, string[] keys, TomlTable to, string? newKey = null)
    {
        foreach (var key in keys)
        {
            if (from.TryGetValue(key, out var value))
            {
                from.Remove(key);
                to[newKey ?? key] = value;
            }
        }
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

            var file = StrictToml.Parse(ReadFile(next), next);
            foreach (var import in (file.TryGetValue("imports", out var imports) ? imports as TomlArray ?? [] : []).OfType<string>())
            {
                if (import.Length == 0 || import.Contains('\0', StringComparison.Ordinal))
                {
                    throw new UserErrorException($"{next} has '{import.Replace("\0", "\\u0000", StringComparison.Ordinal)}' in imports, which is no file: take it out.");
                }

                foreach (var match in Matches(Path.GetFullPath(import, Path.GetDirectoryName(next)!)))
                {
                    pending.Enqueue(match);
                }
            }

            yield return file;
        }
    }

    /// <summary>What an import stands for: one with a * is a pattern of Go's path/filepath, in which ? and [ have a meaning too.</summary>
    private static IEnumerable<string> Matches(string pattern)
    {
        if (!pattern.Contains('*', StringComparison.Ordinal))
        {
            return [pattern];
        }

        var (directory, name) = (Path.GetDirectoryName(pattern)!, Path.GetFileName(pattern));
        return directory.AsSpan().ContainsAny(@"*?[\") || name.AsSpan().ContainsAny(@"[\")
            ? throw new UserErrorException($"imports has '{pattern}': name its directory without a pattern, and its files by * and ? alone, or give the file that sets config_path as --containerd-config.")
            : Directory.Exists(directory)
            ? Directory.EnumerateFiles(directory, name, new EnumerationOptions { MatchType = MatchType.Simple, MatchCasing = MatchCasing.CaseSensitive, AttributesToSkip = 0 })
                .Order(StringComparer.Ordinal)
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

    /// <summary>The version of the configuration that a file says; 0 for none.</summary>
    private static long VersionOf(TomlTable file) => file.TryGetValue("version", out var version) && version is long given ? given : 0;

    private static TomlTable Table(TomlTable table, string key) => table.TryGetValue(key, out var value) ? value as TomlTable ?? [] : [];

    private static string? Text(TomlTable table, string key) => table.TryGetValue(key, out var value) && value is string { Length: > 0 } text ? text : null;

    private static bool IsSet(TomlTable table, string key, bool expected) => table.TryGetValue(key, out var value) && value is bool given && given == expected;

    /// <summary>The section that containerd reads, and that which another version of the configuration has in its place.</summary>
    private sealed record CriSections(string Name, string OtherName, TomlTable Section, TomlTable OtherSection);
}
