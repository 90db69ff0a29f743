using Tomlyn.Model;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>
/// containerd's directory for one registry. What was there before us keeps a second name beside ours, made by a hard link: containerd sees
/// either the old file or ours, never none, and restoring is one rename that brings the very same file back.
/// </summary>
/// <remarks>
/// A <c>hosts.toml</c> without our mark is somebody else's, also where a file set aside exists: then it is newer, and becomes what is kept.
/// </remarks>
internal sealed class HostDirectory
{
    private const UnixFileMode PlainMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    private readonly NodeFiles _files;
    private readonly string _hosts;
    private readonly string _kept;
    private readonly byte[]? _ours;

    /// <summary>Looks at the directory, which need not exist.</summary>
    public HostDirectory(string path, NodeFiles files)
    {
        (Path, _files) = (path, files);
        (_hosts, _kept) = (System.IO.Path.Combine(path, HostsFile.Name), System.IO.Path.Combine(path, HostsFile.Name + ".spegel-dapr-kept"));
        if (Directory.Exists(_hosts))
        {
            throw new UserErrorException($"'{_hosts}' is a directory: remove it.");
        }

        _ours = new FileInfo(_hosts).LinkTarget is null && Read(_hosts) is { } content && HostsFile.IsOurs(content) ? content : null;
    }

    /// <summary>Its path.</summary>
    public string Path { get; }

    /// <summary>Its path without links.</summary>
    public string RealPath => (Directory.Exists(Path) ? Directory.ResolveLinkTarget(Path, returnFinalTarget: true)?.FullName : null) ?? Path;

    /// <summary>The path of its <c>hosts.toml</c>.</summary>
    public string HostsPath => _hosts;

    /// <summary>Whether there is something of ours in it.</summary>
    public bool IsManaged => _ours is not null || File.Exists(_kept);

    /// <summary>Whether it was there before us, or somebody else has put something into it since.</summary>
    public bool IsSomebodys => Directory.Exists(Path) && !(_ours is not null && HostsFile.IsOursWithDirectory(_ours) && IsAllOurs);

    private bool IsAllOurs => Directory.EnumerateFileSystemEntries(Path).All(entry => entry == _hosts);

    /// <summary>What containerd would follow without us; null when the directory is not there without us.</summary>
    /// <exception cref="UserErrorException">It is malformed.</exception>
    public TomlTable? ReadExisting()
    {
        if (!IsSomebodys)
        {
            return null;
        }

        var path = _ours is null && File.Exists(_hosts) ? _hosts : _kept;
        return Read(path) is { Length: > 0 } content
            ? HostsFile.Parse(content, path)
            : HostsFile.OfCertificates([.. Directory.EnumerateFiles(Path).Select(file => System.IO.Path.GetFileName(file))]);
    }

    /// <summary>Puts our file in place of what is there. Whether that changed something.</summary>
    /// <param name="compose">Makes the file; told whether the directory has to be made for it.</param>
    public bool Write(Func<bool, byte[]> compose)
    {
        var content = compose(!IsSomebodys || (_ours is not null && HostsFile.IsOursWithDirectory(_ours)));
        if (!Directory.Exists(Path))
        {
            _files.CreateDirectory(Path, HostsFile.Name, content, PlainMode);
            return true;
        }

        if (_ours is not null && _ours.AsSpan().SequenceEqual(content))
        {
            return false;
        }

        if (_ours is null && File.Exists(_hosts))
        {
            _files.Link(_hosts, _kept);
        }

        // It may have headers with secrets of the file that it replaces.
        _files.Write(_hosts, content, Read(_kept) is not null ? File.GetUnixFileMode(_kept) : PlainMode);
        return true;
    }

    /// <summary>Puts back what was there before us. Whether that changed something.</summary>
    public bool Restore()
    {
        if (!IsManaged)
        {
            return false;
        }

        if (!IsSomebodys)
        {
            _files.RemoveDirectory(Path);
        }
        else if (_ours is null && File.Exists(_hosts))
        {
            _files.Delete(_kept);
        }
        else if (File.Exists(_kept))
        {
            _files.Rename(_kept, _hosts);
        }
        else
        {
            _files.Delete(_hosts);
        }

        return true;
    }

    /// <summary>Null for what does not exist, and for a link to nothing.</summary>
    private static byte[]? Read(string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }
}
