using Tomlyn.Model;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>
/// What containerd takes for a <c>hosts.toml</c> (parseHostsFile and parseHostConfig in its core/remotes/docker/config/hosts.go). It reads nothing at all of
/// a file with one wrong value, so that one would take our mirrors with it.
/// </summary>
internal static class HostsFileGrammar
{
    private static readonly string[] Capabilities = ["pull", "resolve", "push", "referrers"];

    /// <summary>Looks at each value that containerd reads.</summary>
    /// <exception cref="UserErrorException">One is not as it must be.</exception>
    public static void Check(TomlTable file, string path)
    {
        Require(!file.TryGetValue("server", out var server) || server is string, "server", "a string");
        CheckHost(file, "");
        if (!file.TryGetValue("host", out var hosts))
        {
            return;
        }

        Require(hosts is TomlTable, "host", "a table");
        foreach (var (url, host) in (TomlTable)hosts)
        {
            Require(host is TomlTable, $"host.'{url}'", "a table");
            CheckHost((TomlTable)host, $"host.'{url}'.");
        }

        void CheckHost(TomlTable host, string prefix)
        {
            foreach (var (key, value) in host)
            {
                var (isValid, what) = key switch
                {
                    "capabilities" => (IsList(value, IsCapability), $"a list of {string.Join(", ", Capabilities)}"),
                    "ca" => (value is string || IsList(value, item => item is string), "a file or a list of files"),
                    "client" => (value is string || IsList(value, item => item is string || (IsList(item, file => file is string) && item is TomlArray { Count: 2 })), "a file, or a list of files and of pairs of them"),
                    "header" => (value is TomlTable, "a table"),
                    "skip_verify" or "override_path" => (value is bool, "true or false"),
                    _ => (true, ""),
                };
                Require(isValid, prefix + key, what);
            }

            foreach (var (name, value) in host.TryGetValue("header", out var headers) ? (TomlTable)headers : [])
            {
                Require(value is string || IsList(value, item => item is string), $"{prefix}header.{name}", "a string or a list of strings");
            }
        }

        void Require(bool condition, string key, string what)
        {
            if (!condition)
            {
                throw new UserErrorException($"'{path}' is no hosts.toml ({key} is not {what}): mend or remove it.");
            }
        }
    }

    private static bool IsCapability(object? item) => item is string name && Capabilities.Contains(name, StringComparer.OrdinalIgnoreCase);

    private static bool IsList(object? value, Func<object?, bool> isItem) => value is TomlArray list && list.All(isItem);
}
