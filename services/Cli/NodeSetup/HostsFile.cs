using System.Text;
using Tomlyn.Model;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>A <c>hosts.toml</c> of ours.</summary>
/// <param name="Content">What is in it.</param>
/// <param name="SetAside">The hosts of the file before it that it leaves out.</param>
internal sealed record ComposedHosts(byte[] Content, IReadOnlyList<string> SetAside);

/// <summary>The <c>hosts.toml</c> that containerd reads for a registry (its docs/hosts.md and core/remotes/docker/config/hosts.go).</summary>
internal static class HostsFile
{
    /// <summary>The file's name.</summary>
    public const string Name = "hosts.toml";

    /// <summary>
    /// How long containerd 2.1 and later wait for a connection to a mirror, which is on the same node. Earlier ones ignore it; a mirror that
    /// is not running refuses a connection at once.
    /// </summary>
    private const string DialTimeout = "200ms";

    private const string Mark = "# Managed by spegel-dapr: 'configure' overwrites changes made here, 'cleanup' restores what was here before.";
    private const string DirectoryMark = "# This directory is spegel-dapr's as well.";

    /// <summary>Whether a file was written by <see cref="Compose"/>, whatever an editor has made of it since.</summary>
    public static bool IsOurs(ReadOnlySpan<byte> content) => HasLine(content, Mark);

    /// <summary>Whether a file was written by <see cref="Compose"/> into a directory that had to be made for it.</summary>
    public static bool IsOursWithDirectory(ReadOnlySpan<byte> content) => IsOurs(content) && HasLine(content, DirectoryMark);

    /// <summary>Reads a file as strictly as containerd, which follows nothing of one with an error.</summary>
    /// <exception cref="UserErrorException">It is malformed.</exception>
    public static TomlTable Parse(byte[] content, string path)
    {
        var file = StrictToml.Parse(content, path);
        HostsFileGrammar.Check(file, path);
        return file;
    }

    /// <summary>
    /// The file that puts our mirrors before the registry. How the registry itself is reached is taken over from what was there; the mirrors
    /// that were there follow ours or are left out.
    /// </summary>
    /// <param name="settings">The mirrors.</param>
    /// <param name="directories">The names of the registry's directory.</param>
    /// <param name="server">Where the registry is, unless what was there says so; null for where containerd looks by itself.</param>
    /// <param name="existing">What was there.</param>
    /// <param name="withDirectory">Whether its directory has to be made for it.</param>
    public static ComposedHosts Compose(MirrorSettings settings, IEnumerable<string> directories, string? server, TomlTable existing, bool withDirectory)
    {
        var hosts = new TomlTable();
        foreach (var mirror in settings.Mirrors)
        {
            hosts[mirror.ToString()] = new TomlTable
            {
                ["capabilities"] = settings.ResolveTags ? new TomlArray { "pull", "resolve" } : new TomlArray { "pull" },
                ["dial_timeout"] = DialTimeout,
            };
        }

        // Without a server, hosts are all that says how the registry is reached.
        var existingServer = existing.TryGetValue("server", out var value) ? (string)value : "";
        var registry = existingServer.Length > 0 ? new RegistryEndpoints(directories, existingServer) : null;
        var setAside = new List<string>();
        foreach (var (url, host) in HostsOf(existing).Where(host => !IsMirror(host.Url, settings)))
        {
            if (settings.PrependExisting || registry?.Contains(url) != false)
            {
                hosts[url] = host;
            }
            else
            {
                setAside.Add(url);
            }
        }

        var file = new TomlTable();
        var isServerAdded = existingServer.Length == 0 && server is not null;
        if (existingServer.Length > 0 || isServerAdded)
        {
            file["server"] = isServerAdded ? server! : existingServer;
        }

        // Plain values first: what follows a table's header belongs to that table.
        foreach (var (key, setting) in existing.OrderBy(entry => entry.Value is TomlTable or TomlTableArray))
        {
            // Where there was no server, containerd has looked at neither of the two (ConfigureHosts).
            if (key is not ("server" or "host") && !(isServerAdded && key is "capabilities" or "override_path"))
            {
                file[key] = setting;
            }
        }

        file["host"] = hosts;
        return new ComposedHosts(StrictToml.Write($"{Mark}\n{(withDirectory ? DirectoryMark + "\n" : "")}", file), setAside);
    }

    /// <summary>
    /// What containerd makes of the certificate files in a directory without <c>hosts.toml</c>, as a <c>hosts.toml</c>: a <c>.crt</c> is an
    /// authority, a <c>.cert</c> a client's certificate, with its key in the <c>.key</c> of the same name or else in itself.
    /// </summary>
    /// <param name="files">The names of the directory's files.</param>
    public static TomlTable OfCertificates(IReadOnlyCollection<string> files)
    {
        var authorities = new TomlArray();
        var clients = new TomlArray();
        foreach (var file in files.Order(StringComparer.Ordinal))
        {
            if (file.EndsWith(".crt", StringComparison.Ordinal))
            {
                authorities.Add(file);
            }
            else if (file.EndsWith(".cert", StringComparison.Ordinal))
            {
                // A pair of which one is empty would name the directory.
                var key = file[..^"cert".Length] + "key";
                clients.Add(files.Contains(key) ? new TomlArray { file, key } : file);
            }
        }

        var table = new TomlTable();
        if (authorities.Count > 0)
        {
            table["ca"] = authorities;
        }

        if (clients.Count > 0)
        {
            table["client"] = clients;
        }

        return table;
    }

    /// <summary>Has the certificates that are named by relative paths found from a directory beside the file's own.</summary>
    public static void MoveFrom(string directory, TomlTable file)
    {
        foreach (var table in HostsOf(file).Select(host => host.Host).Append(file))
        {
            foreach (var key in new[] { "ca", "client" })
            {
                if (table.TryGetValue(key, out var value))
                {
                    table[key] = Moved(value, directory);
                }
            }
        }
    }

    private static object Moved(object value, string directory) => value switch
    {
        string { Length: > 0 } file when !Path.IsPathRooted(file) => $"../{directory}/{file}",
        TomlArray files => MovedAll(files, directory),
        _ => value,
    };

    private static TomlArray MovedAll(TomlArray files, string directory)
    {
        var moved = new TomlArray();
        foreach (var file in files)
        {
            moved.Add(Moved(file!, directory));
        }

        return moved;
    }

    private static bool HasLine(ReadOnlySpan<byte> content, string line) =>
        Encoding.UTF8.GetString(content).Split('\n').Any(other => other.Trim('\r', '\uFEFF') == line);

    /// <summary>containerd asks below /v2 whether an address says so or not.</summary>
    private static bool IsMirror(string host, MirrorSettings settings) =>
        RegistryEndpoints.Parse(host) is { } address
        && address.AbsolutePath.Trim('/') is "" or "v2"
        && settings.Mirrors.Any(mirror => mirror.Uri.Scheme == address.Scheme && mirror.Uri.Authority == address.Authority);

    private static IEnumerable<(string Url, TomlTable Host)> HostsOf(TomlTable file) =>
        file.TryGetValue("host", out var hosts) ? ((TomlTable)hosts).Select(host => (host.Key, (TomlTable)host.Value)) : [];
}
