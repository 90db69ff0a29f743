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

    /// <summary>
    /// Puts the mirrors before the registries, and restores those that an earlier run was told and this one is not. With
    /// <see cref="MirroredRegistry.All"/>, registries that have a directory are given the mirrors there, since containerd then looks nowhere else.
    /// </summary>
    /// <exception cref="UserErrorException">Something is malformed, and nothing was changed; or a file cannot be changed.</exception>
    public IReadOnlyList<NodeSetupChange> Configure(MirrorSettings settings) => Run<IReadOnlyList<NodeSetupChange>>(() =>
    {
        if (!Directory.Exists(Path.GetDirectoryName(_path)))
        {
            throw new UserErrorException($"--certs-d is '{_path}', in no directory: make it, or give the directory that containerd's config_path names.");
        }

        _files.DeleteLeftovers(_path);
        if (!Directory.Exists(_path))
        {
            _files.CreateDirectory(_path, OwnMark, Encoding.UTF8.GetBytes("spegel-dapr has made this directory.\n"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        using var exclusive = Lock();
        RemoveLeftovers();
        var existing = Existing();
        var targets = Targets(settings, existing);
        var fallback = new HostDirectory(Path.Combine(_path, MirroredRegistry.All), _files);

        // All are composed before the first is written.
        var writes = targets.Select(target => (target.Directory, Compose: Composer(settings, target.Directory, target.Server, fallback))).ToList();
        ThrowIfShared(writes);
        List<NodeSetupChange> changes =
        [
            .. writes.DistinctBy(write => write.Directory.RealPath)
                .Select(write => new NodeSetupChange(write.Directory.HostsPath, write.Directory.Write(write.Compose) ? ChangeKind.Written : ChangeKind.Unchanged)),
        ];
        return [.. changes, .. Restore(existing.Where(directory => targets.All(target => target.Directory.RealPath != directory.RealPath)))];
    });

    /// <summary>Restores what was there before the first <see cref="Configure"/>.</summary>
    /// <exception cref="UserErrorException">A file cannot be changed.</exception>
    public IReadOnlyList<NodeSetupChange> Cleanup() => Run<IReadOnlyList<NodeSetupChange>>(() =>
    {
        if (Directory.Exists(Path.GetDirectoryName(_path)))
        {
            _files.DeleteLeftovers(_path);
        }

        if (!Directory.Exists(_path))
        {
            return [];
        }

        using var exclusive = Lock();
        RemoveLeftovers();
        List<NodeSetupChange> changes = [.. Restore(Existing())];
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
        directories.Where(directory => directory.Restore()).Select(directory => new NodeSetupChange(directory.HostsPath, ChangeKind.Restored));

    private static Func<bool, byte[]> Composer(MirrorSettings settings, HostDirectory directory, string? server, HostDirectory fallback)
    {
        var existing = directory.ReadExisting() ?? FallbackOf(directory, fallback);
        return withDirectory => HostsFile.Compose(settings, server, existing, directory.HostsPath, withDirectory);
    }

    /// <summary>What a registry without a directory has followed so far, and would no longer once it has one.</summary>
    private static TomlTable FallbackOf(HostDirectory directory, HostDirectory fallback)
    {
        if (directory.Path == fallback.Path || fallback.ReadExisting() is not { } existing)
        {
            return [];
        }

        HostsFile.MoveFrom(MirroredRegistry.All, existing, fallback.HostsPath);
        return existing;
    }

    /// <summary>Registries whose directories are links to the same one have one file, which cannot name two servers.</summary>
    private static void ThrowIfShared(IEnumerable<(HostDirectory Directory, Func<bool, byte[]> Compose)> writes)
    {
        foreach (var shared in writes.GroupBy(write => write.Directory.RealPath))
        {
            var first = shared.First();
            if (shared.FirstOrDefault(write => !write.Compose(false).AsSpan().SequenceEqual(first.Compose(false))).Directory is { } other)
            {
                throw new UserErrorException($"'{first.Directory.Path}' and '{other.Path}' are the same directory: give each registry its own.");
            }
        }
    }

    private List<(HostDirectory Directory, string? Server)> Targets(MirrorSettings settings, List<HostDirectory> existing)
    {
        var named = settings.Registries.Select(registry => (Directory: Find(registry.Name), registry.Server)).ToList();
        return settings.Registries.All(registry => registry.Name != MirroredRegistry.All)
            ? named
            : [.. named, .. existing.Where(directory => directory.IsSomebodys && named.All(target => target.Directory.RealPath != directory.RealPath)).Select(directory => (directory, (string?)null))];
    }

    /// <summary>The directory in which containerd looks for a registry: that with <c>_port_</c> in its name comes before that with <c>:port</c>.</summary>
    private HostDirectory Find(string registry)
    {
        var path = Path.Combine(_path, registry);
        var colon = registry.LastIndexOf(':');
        if (colon > 0 && Path.Combine(_path, $"{registry[..colon]}_{registry[(colon + 1)..]}_") is var alternative && Directory.Exists(alternative))
        {
            path = alternative;
        }

        return Directory.Exists(path) || !File.Exists(path)
            ? new HostDirectory(path, _files)
            : throw new UserErrorException($"'{path}' is no directory that can be seen here: remove it, or mount where it leads.");
    }

    /// <summary>The directories of registries, and containerd's fallback. Other names with <c>_</c> or a dot in front belong to no registry.</summary>
    private List<HostDirectory> Existing() =>
    [
        .. Directory.EnumerateDirectories(_path)
            .Where(path => Path.GetFileName(path) is var name && (name == MirroredRegistry.All || name[0] is not ('_' or '.')))
            .Order(StringComparer.Ordinal)
            .Select(path => new HostDirectory(path, _files))
            .DistinctBy(directory => directory.RealPath),
    ];

    private void RemoveLeftovers()
    {
        _files.DeleteLeftoversIn(_path);
        foreach (var directory in Directory.GetDirectories(_path))
        {
            _files.DeleteLeftovers(Path.Combine(directory, HostsFile.Name));
        }
    }

    private IDisposable Lock() =>
        NodeFiles.TryLock(_path) ?? throw new UserErrorException($"Another spegel-dapr is at work in '{_path}': run the command again when it has ended.");

    private T Run<T>(Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"--certs-d is '{_path}', which cannot be read and changed ({e.Message.TrimEnd('.')}): mount it writable and run as root.");
        }
    }
}
