using Tomlyn.Model;

namespace SpegelDapr.Cli.NodeSetup.Preflight;

/// <summary>
/// containerd's configuration file with its imports, as containerd would read it (its cmd/containerd/server/config/config.go and docs/cri/config.md).
/// </summary>
internal static class ContainerdConfigFile
{
    private const string DefaultRoot = "/var/lib/containerd";

    /// <summary>How many layers the CRI plugin downloads at a time unless it is told otherwise (internal/cri/config/config_unix.go).</summary>
    private const long DefaultDownloads = 3;

    private static readonly string[] OlderRegistrySettings = ["mirrors", "configs", "auths"];

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
        var cri = CriSections.Of(files, containerd);
        var registry = Toml.Table(cri.Section, "registry");
        var configPath = Toml.Text(registry, "config_path");
        return new ContainerdSettings(path)
        {
            IsCriDisabled = files.SelectMany(file => Toml.Texts(file, "disabled_plugins")).Any(name => name is CriSections.FirstCri or CriSections.SecondCri or CriSections.ImagesCri),
            Tables = cri.Tables,
            ConfigPath = configPath ?? "",
            Misplaced = configPath is null && Toml.Text(Toml.Table(cri.OtherSection, "registry"), "config_path") is not null ? (cri.OtherName, cri.Name) : null,
            PullsLocally = cri.IsSecond ? Toml.Is(cri.Section, "use_local_image_pull", true) || HasWhatTransferServiceCannotDo(cri, registry) : null,
            DiscardsUnpackedLayers = Toml.Is(cri.Snapshots, "discard_unpacked_layers", true),
            HasMirrors = Toml.Table(registry, "mirrors").Count > 0,
            HasTls = !cri.IsSecond && Toml.Table(registry, "configs").Values.Any(host => host is TomlTable table && table.ContainsKey("tls")),
            Root = files.Select(file => Toml.Text(file, "root")).LastOrDefault(root => root is not null) ?? DefaultRoot,
        };
    }

    /// <summary>
    /// For these the CRI plugin pulls images itself (CheckLocalImagePullConfigs in internal/cri/config/config.go). It does so for <c>discard_unpacked_layers</c>
    /// too, which must go: what is judged is what containerd does then.
    /// </summary>
    private static bool HasWhatTransferServiceCannotDo(CriSections cri, TomlTable registry) =>
        OlderRegistrySettings.Any(key => Toml.Table(registry, key).Count > 0)
        || Toml.Is(cri.Snapshots, "disable_snapshot_annotations", false)
        || Toml.Is(cri.Section, "image_pull_with_sync_fs", true)
        || (cri.Section.TryGetValue("max_concurrent_downloads", out var downloads) && downloads is long and not DefaultDownloads);

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
            foreach (var import in Toml.Texts(file, "imports"))
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
}
