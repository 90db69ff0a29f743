using System.Text;
using Tomlyn.Model;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>containerd's directory of registries, which its <c>config_path</c> names: <c>/etc/containerd/certs.d</c>.</summary>
/// <remarks>
/// Each registry's directory is changed by itself and says itself what was there before, so a run that is killed, or that is told other
/// registries than the one before, leaves nothing that a later run could not set right.
/// </remarks>
internal sealed class CertsDirectory
{
    private const string OwnMark = ".spegel-dapr";

    private readonly NodeFiles _files;
    private readonly string _path;

    /// <param name="path">The directory. Its parent must exist.</param>
    /// <param name="files">How files are changed.</param>
    /// <exception cref="UserErrorException">The path is not a full one.</exception>
    public CertsDirectory(string path, NodeFiles files)
    {
        if (!Path.IsPathFullyQualified(path) || Path.GetPathRoot(path) == path)
        {
            throw new UserErrorException($"--certs-d is '{path}': give the full path of the directory that containerd's config_path names.");
        }

        (_path, _files) = (Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)), files);
    }

    private string ParentPath => Path.GetDirectoryName(_path)!;

    /// <summary>
    /// Puts the mirrors before the registries, and restores those that an earlier run was told and this one is not. With
    /// <see cref="MirroredRegistry.All"/>, registries that have a directory are given the mirrors there, since containerd then looks nowhere else.
    /// </summary>
    /// <exception cref="UserErrorException">Something is malformed, and nothing was changed; or a file cannot be changed.</exception>
    public IReadOnlyList<NodeSetupChange> Configure(MirrorSettings settings) => Run<IReadOnlyList<NodeSetupChange>>(() =>
    {
        if (!Directory.Exists(ParentPath))
        {
            throw new UserErrorException($"--certs-d is '{_path}', in no directory: make it, or give the directory that containerd's config_path names.");
        }

        using var exclusiveInParent = Lock(ParentPath);
        _files.DeleteLeftovers(_path);
        if (!Directory.Exists(_path))
        {
            _files.CreateDirectory(_path, OwnMark, Encoding.UTF8.GetBytes("spegel-dapr has made this directory.\n"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        using var exclusive = Lock(_path);
        RemoveLeftovers();

        // All are composed before the first is written.
        var existing = Existing();
        var writes = Compose(settings, existing, Targets(settings, existing));
        List<NodeSetupChange> changes =
        [
            .. writes.Select(write => new NodeSetupChange(
                write.Directory.HostsPath, write.Directory.Write(write.Hosts.Content) ? ChangeKind.Written : ChangeKind.Unchanged, write.Hosts.SetAside)),
        ];
        return [.. changes, .. Restore(existing.Except(writes.Select(write => write.Directory)))];
    });

    /// <summary>Restores what was there before the first <see cref="Configure"/>.</summary>
    /// <exception cref="UserErrorException">A file cannot be changed.</exception>
    public IReadOnlyList<NodeSetupChange> Cleanup() => Run<IReadOnlyList<NodeSetupChange>>(() =>
    {
        if (!Directory.Exists(ParentPath))
        {
            return [];
        }

        using var exclusiveInParent = Lock(ParentPath);
        _files.DeleteLeftovers(_path);
        if (!Directory.Exists(_path))
        {
            return [];
        }

        using var exclusive = Lock(_path);
        RemoveLeftovers();
        var existing = Existing();
        List<NodeSetupChange> changes = [.. Restore(existing.Where(directory => !directory.IsBlocked))];
        ThrowIfBlocked(existing);
        var mark = Path.Combine(_path, OwnMark);
        if (!File.Exists(mark))
        {
            return changes;
        }

        if (Directory.EnumerateFileSystemEntries(_path).All(entry => entry == mark))
        {
            _files.RemoveDirectory(_path);
        }
        else
        {
            _files.Delete(mark);
        }

        return changes;
    });

    private static IEnumerable<NodeSetupChange> Restore(IEnumerable<HostDirectory> directories) =>
        directories.Where(directory => directory.Restore()).Select(directory => new NodeSetupChange(directory.HostsPath, ChangeKind.Restored, []));

    private static void ThrowIfBlocked(IEnumerable<HostDirectory> directories)
    {
        if (directories.FirstOrDefault(directory => directory is { IsBlocked: true, IsManaged: true }) is { } blocked)
        {
            throw new UserErrorException($"'{blocked.HostsPath}' is a directory, in the place of a file that is to be restored: remove it, and run the command again.");
        }
    }

    /// <summary>The file for each target. Registries whose directories are links to the same one have one file, which cannot name two servers.</summary>
    private List<(HostDirectory Directory, ComposedHosts Hosts)> Compose(MirrorSettings settings, List<HostDirectory> existing, List<Target> targets)
    {
        if (targets.Find(target => target.Directory.IsBlocked)?.Directory is { } blocked)
        {
            throw new UserErrorException($"'{blocked.HostsPath}' is a directory: remove it.");
        }

        ThrowIfBlocked(existing);
        var fallback = existing.Find(directory => directory.Names.Contains(MirroredRegistry.All));
        List<(HostDirectory Directory, ComposedHosts Hosts)> writes = [];
        foreach (var (name, directory, server) in targets)
        {
            var hosts = HostsFile.Compose(
                settings, directory.Names, server, directory.ReadExisting(settings.Containerd) ?? FallbackOf(directory, fallback, settings.Containerd), directory.NeedsDirectoryMark);
            var same = writes.FindIndex(write => write.Directory == directory);
            if (same < 0)
            {
                writes.Add((directory, hosts));
            }
            else if (!writes[same].Hosts.Content.AsSpan().SequenceEqual(hosts.Content))
            {
                throw new UserErrorException($"'{Path.Combine(_path, targets.Find(target => target.Directory == directory)!.Name)}' and '{Path.Combine(_path, name)}' are the same directory: give each registry its own.");
            }
        }

        return writes;
    }

    /// <summary>What a registry without a directory has followed so far, and would no longer once it has one.</summary>
    private static TomlTable FallbackOf(HostDirectory directory, HostDirectory? fallback, Version? containerd)
    {
        if (directory == fallback || fallback?.ReadExisting(containerd) is not { } existing)
        {
            return [];
        }

        HostsFile.MoveFrom(MirroredRegistry.All, existing);
        return existing;
    }

    private List<Target> Targets(MirrorSettings settings, List<HostDirectory> existing)
    {
        var named = settings.Registries.Select(registry => new Target(registry.Name, Find(registry.Name, existing), registry.Server)).ToList();
        var isAll = settings.Registries.Any(registry => registry.Name == MirroredRegistry.All);

        // Registries without a directory are to follow the default, which must be seen for that.
        ThrowIfUnseen(RegistryEntries().Where(path => (isAll || Path.GetFileName(path) == MirroredRegistry.All) && NodeFiles.RealPath(path) is null));
        return !isAll
            ? named
            : [.. named, .. existing.Where(directory => directory.IsSomebodys && named.All(target => target.Directory != directory)).Select(directory => new Target(directory.Names[0], directory, null))];
    }

    /// <summary>The directory in which containerd looks for a registry: that with <c>_port_</c> in its name comes before that with <c>:port</c>.</summary>
    private HostDirectory Find(string registry, List<HostDirectory> existing)
    {
        var colon = registry.LastIndexOf(':');
        var alternative = colon > 0 ? $"{registry[..colon]}_{registry[(colon + 1)..]}_" : "";
        var name = alternative.Length > 0 && Directory.Exists(Path.Combine(_path, alternative)) ? alternative : registry;
        ThrowIfUnseen([Path.Combine(_path, name)]);
        return existing.Find(directory => directory.Names.Contains(name)) ?? new HostDirectory(Path.Combine(_path, name), [name], _files);
    }

    private static void ThrowIfUnseen(IEnumerable<string> paths)
    {
        if (paths.FirstOrDefault(path => !Directory.Exists(path) && File.Exists(path)) is { } unseen)
        {
            throw new UserErrorException($"'{unseen}' is no directory that can be seen here: remove it, or mount where it leads.");
        }
    }

    /// <summary>The directories of registries, and containerd's fallback, each once whatever links lead to it.</summary>
    private List<HostDirectory> Existing() =>
    [
        .. RegistryEntries().Where(Directory.Exists)
            .OrderBy(path => new FileInfo(path).LinkTarget is not null)
            .GroupBy(NodeFiles.RealPath)
            .Select(same => new HostDirectory(same.First(), [.. same.Select(path => Path.GetFileName(path))], _files)),
    ];

    /// <summary>Other names with <c>_</c> or a dot in front belong to no registry.</summary>
    private IEnumerable<string> RegistryEntries() =>
        Directory.EnumerateFileSystemEntries(_path)
            .Where(path => Path.GetFileName(path) is var name && (name == MirroredRegistry.All || name[0] is not ('_' or '.')))
            .Order(StringComparer.Ordinal);

    private void RemoveLeftovers()
    {
        _files.DeleteLeftoversIn(_path);
        foreach (var directory in Directory.GetDirectories(_path))
        {
            _files.DeleteLeftovers(Path.Combine(directory, HostsFile.Name));
        }
    }

    private static IDisposable Lock(string path) =>
        NodeFiles.TryLock(path) ?? throw new UserErrorException($"Another spegel-dapr is at work in '{path}': run the command again when it has ended.");

    private T Run<T>(Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException(
                $"--certs-d is '{_path}', which cannot be read and changed ({e.Message.TrimEnd('.')}): mount it writable and run as root, with the capabilities DAC_OVERRIDE and FOWNER where files are another user's.");
        }
    }

    /// <summary>A registry that is to have our file.</summary>
    private sealed record Target(string Name, HostDirectory Directory, string? Server);
}
