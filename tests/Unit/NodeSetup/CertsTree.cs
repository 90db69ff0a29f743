using System.Text;
using SpegelDapr.Cli.NodeSetup;
using SpegelDapr.Contracts;
using Tomlyn.Model;

namespace SpegelDapr.Unit.NodeSetup;

/// <summary>A certs.d of a test's own.</summary>
internal sealed class CertsTree : IDisposable
{
    private const UnixFileMode DefaultMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    private readonly DirectoryInfo _parent = Directory.CreateTempSubdirectory("spegel-dapr-unit-");

    public string Path => System.IO.Path.Combine(_parent.FullName, "certs.d");

    public static MirrorSettings Settings(params string[] registries) => new(MirroredRegistry.ParseAll(registries), [BlobAddress.Parse("http://127.0.0.1:5000")], ResolveTags: true, PrependExisting: false);

    public CertsTree Add(string file, string content = "", UnixFileMode mode = DefaultMode)
    {
        var path = At(file);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content);
        File.SetUnixFileMode(path, mode);
        return this;
    }

    public CertsTree AddLink(string file, string target)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(At(file))!);
        File.CreateSymbolicLink(At(file), target);
        return this;
    }

    public CertsTree AddDirectory(string name)
    {
        Directory.CreateDirectory(At(name));
        return this;
    }

    public string At(string file) => System.IO.Path.Combine(Path, file);

    public string Read(string file) => File.ReadAllText(At(file));

    /// <summary>A registry's hosts in the order in which containerd tries them.</summary>
    public IEnumerable<string> Hosts(string registry) => ((TomlTable)StrictToml.Parse(File.ReadAllBytes(At(registry + "/hosts.toml")), registry)["host"]).Keys;

    public IReadOnlyList<NodeSetupChange> Configure(MirrorSettings settings, Action<string>? beforeStep = null) => new CertsDirectory(Path, new NodeFiles(beforeStep)).Configure(settings);

    public IReadOnlyList<NodeSetupChange> Cleanup(Action<string>? beforeStep = null) => new CertsDirectory(Path, new NodeFiles(beforeStep)).Cleanup();

    /// <summary>All there is, in and beside certs.d: a line for each entry with its kind, its mode and its content.</summary>
    public string Snapshot()
    {
        var snapshot = new StringBuilder();
        foreach (var entry in _parent.EnumerateFileSystemInfos("*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = 0 }).OrderBy(entry => entry.FullName, StringComparer.Ordinal))
        {
            snapshot.Append(System.IO.Path.GetRelativePath(_parent.FullName, entry.FullName)).Append(' ').AppendLine(
                entry.LinkTarget is { } target ? $"-> {target}"
                : entry is DirectoryInfo ? $"{entry.UnixFileMode}"
                : $"{entry.UnixFileMode} {Convert.ToBase64String(File.ReadAllBytes(entry.FullName))}");
        }

        return snapshot.ToString();
    }

    public void Dispose() => _parent.Delete(recursive: true);
}
