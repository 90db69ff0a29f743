using System.Text;
using Tomlyn;
using Tomlyn.Model;
using Tomlyn.Parsing;

namespace SpegelDapr.Cli.NodeSetup;

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

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Whether a file was written by <see cref="Compose"/>.</summary>
    public static bool IsOurs(ReadOnlySpan<byte> content) => content.StartsWith(Encoding.UTF8.GetBytes(Mark + "\n"));

    /// <summary>Whether a file was written by <see cref="Compose"/> into a directory that had to be made for it.</summary>
    public static bool IsOursWithDirectory(ReadOnlySpan<byte> content) => content.StartsWith(Encoding.UTF8.GetBytes($"{Mark}\n{DirectoryMark}\n"));

    /// <summary>Reads TOML as strictly as containerd, which rejects keys that are given twice.</summary>
    /// <exception cref="UserErrorException">It is none.</exception>
    public static TomlTable Parse(byte[] content, string path)
    {
        try
        {
            var text = StrictUtf8.GetString(content).TrimStart('\uFEFF');
            SyntaxParser.ParseStrict(text);
            return TomlSerializer.Deserialize<TomlTable>(text) ?? [];
        }
        catch (Exception e) when (e is TomlException or DecoderFallbackException)
        {
            throw new UserErrorException($"'{path}' is not TOML ({FirstLine(e.Message)}): mend or remove it.");
        }
    }

    /// <summary>
    /// The file that puts our mirrors before the registry. How the registry itself is reached is taken over from what was there; the mirrors
    /// that were there follow ours or are left out.
    /// </summary>
    /// <param name="settings">The mirrors.</param>
    /// <param name="server">Where the registry is, unless what was there says so; null for where containerd looks by itself.</param>
    /// <param name="existing">What was there.</param>
    /// <param name="path">Where it was, for messages.</param>
    /// <param name="withDirectory">Whether its directory has to be made for it.</param>
    /// <exception cref="UserErrorException">What was there is not a table of hosts.</exception>
    public static byte[] Compose(MirrorSettings settings, string? server, TomlTable existing, string path, bool withDirectory)
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

        if (settings.PrependExisting)
        {
            foreach (var (url, host) in HostsOf(existing, path))
            {
                if (!hosts.ContainsKey(url.TrimEnd('/')))
                {
                    hosts[url] = host;
                }
            }
        }

        var file = new TomlTable();
        if ((existing.TryGetValue("server", out var existingServer) ? existingServer : server) is { } registry)
        {
            file["server"] = registry;
        }

        // Plain values first: what follows a table's header belongs to that table.
        foreach (var (key, value) in existing.OrderBy(entry => entry.Value is TomlTable or TomlTableArray))
        {
            if (key is not ("server" or "host"))
            {
                file[key] = value;
            }
        }

        file["host"] = hosts;
        return StrictUtf8.GetBytes($"{Mark}\n{(withDirectory ? DirectoryMark + "\n" : "")}{TomlSerializer.Serialize(file)}");
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
                var key = file[..^"cert".Length] + "key";
                clients.Add(new TomlArray { file, files.Contains(key) ? key : "" });
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
    public static void MoveFrom(string directory, TomlTable file, string path)
    {
        foreach (var table in HostsOf(file, path).Select(host => host.Host).Append(file))
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

    private static IEnumerable<(string Url, TomlTable Host)> HostsOf(TomlTable file, string path)
    {
        if (!file.TryGetValue("host", out var value))
        {
            yield break;
        }

        foreach (var (url, host) in value as TomlTable ?? throw NotATable("host"))
        {
            yield return (url, host as TomlTable ?? throw NotATable($"host.'{url}'"));
        }

        UserErrorException NotATable(string key) => new($"'{path}' is no hosts.toml ({key} is not a table): mend or remove it.");
    }

    private static string FirstLine(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).FirstOrDefault("");
}
