using Tomlyn.Model;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>
/// containerd's directory for one registry. What was there before us keeps a second name beside ours, made by a hard link: containerd sees
/// either the old file or ours, never none, and restoring is one rename that brings the very same file back.
/// </summary>
/// <remarks>
/// A <c>hosts.toml</c> without our mark is somebody else's, also where a file set aside exists: then it is newer, and becomes what is kept.
/// Whose it is is looked up each time, since the directory may have other names, and others may change it.
/// </remarks>
internal sealed class HostDirectory
{
    private const UnixFileMode PlainMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
    private const string KeptSuffix = ".spegel-dapr-kept";

    private readonly NodeFiles _files;
    private readonly string _hosts;
    private readonly string _kept;

    /// <param name="path">The directory, which need not exist.</param>
    /// <param name="names">Its names in containerd's directory of registries: links may lead to it.</param>
    /// <param name="files">How files are changed.</param>
    public HostDirectory(string path, IReadOnlyList<string> names, NodeFiles files)
    {
        (Path, Names, _files) = (path, names, files);
        (_hosts, _kept) = (System.IO.Path.Combine(path, HostsFile.Name), System.IO.Path.Combine(path, HostsFile.Name + KeptSuffix));
    }

    /// <summary>Its path.</summary>
    public string Path { get; }

    /// <summary>Its names in containerd's directory of registries.</summary>
    public IReadOnlyList<string> Names { get; }

    /// <summary>The path of its <c>hosts.toml</c>.</summary>
    public string HostsPath => _hosts;

    /// <summary>Whether there is something of ours in it.</summary>
    public bool IsManaged => Ours is not null || File.Exists(_kept);

    /// <summary>Whether a directory is where its <c>hosts.toml</c> would be, so that none can be put there.</summary>
    public bool IsBlocked => Directory.Exists(_hosts);

    /// <summary>Whether it was there before us, or somebody else has put something into it since.</summary>
    public bool IsSomebodys => Directory.Exists(Path) && !(IsMadeByUs && Directory.EnumerateFileSystemEntries(Path).All(entry => entry == _hosts));

    /// <summary>Whether our file in it has to say that the directory is ours.</summary>
    public bool NeedsDirectoryMark => !IsSomebodys || IsMadeByUs;

    private bool IsMadeByUs => Ours is { } content && HostsFile.IsOursWithDirectory(content);

    private byte[]? Ours => !IsBlocked && new FileInfo(_hosts).LinkTarget is null && Read(_hosts) is { } content && HostsFile.IsOurs(content) ? content : null;

    /// <summary>What containerd would follow without us; null when the directory is not there without us.</summary>
    /// <param name="containerd">containerd's version; null where it is not known.</param>
    /// <exception cref="UserErrorException">It is malformed, or cannot be seen.</exception>
    public TomlTable? ReadExisting(Version? containerd)
    {
        if (!IsSomebodys)
        {
            return null;
        }

        var path = Ours is null && File.Exists(_hosts) ? _hosts : _kept;
        var certificates = HostsFile.OfCertificates([.. Directory.EnumerateFiles(Path).Select(file => System.IO.Path.GetFileName(file))]);
        if (ReadWithoutUs(path) is not { Length: > 0 } content)
        {
            return certificates;
        }

        // containerd 1.x rejects a file without hosts, and looks for certificates then (getSortedHosts and loadHostDir). Where it can be either, so is this.
        var existing = HostsFile.Parse(content, path);
        if (existing.ContainsKey("host") || containerd >= MirrorSettings.SecondContainerd)
        {
            return existing;
        }

        foreach (var (key, value) in containerd is null ? existing : [])
        {
            certificates[key] = value;
        }

        return certificates;
    }

    /// <summary>Puts our file in place of what is there. Whether that changed something.</summary>
    public bool Write(byte[] content)
    {
        if (!Directory.Exists(Path))
        {
            _files.CreateDirectory(Path, HostsFile.Name, content, PlainMode);
            return true;
        }

        if (Ours is { } ours)
        {
            if (ours.AsSpan().SequenceEqual(content))
            {
                return false;
            }
        }
        else if (File.Exists(_hosts))
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
        else if (Ours is null && File.Exists(_hosts))
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

    /// <summary>A file of somebody else's as it was before us: a link may lead to another registry's, in whose place ours is by now.</summary>
    private static byte[]? ReadWithoutUs(string path)
    {
        var content = Read(path);
        if (content is null && new FileInfo(path).LinkTarget is not null)
        {
            throw new UserErrorException($"'{path}' is a link that leads nowhere that can be seen here: remove it, or mount where it leads.");
        }

        return content is not null && HostsFile.IsOurs(content) ? Read(NodeFiles.RealPath(path) + KeptSuffix) : content;
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
