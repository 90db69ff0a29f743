using System.Text.RegularExpressions;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>Where a registry is itself, so that a host in its <c>hosts.toml</c> can be told from a mirror of it.</summary>
/// <param name="directories">The names of containerd's directory for it.</param>
/// <param name="server">What its <c>hosts.toml</c> says that it is.</param>
internal sealed partial class RegistryEndpoints(IEnumerable<string> directories, string server)
{
    private const string DockerHub = "docker.io";

    /// <summary>Where containerd finds Docker Hub.</summary>
    public const string DockerHubHost = "registry-1.docker.io";

    private readonly HashSet<string> _authorities = Authorities([.. directories, server]);

    /// <summary>Whether a host is the registry; also where that cannot be told.</summary>
    public bool Contains(string host) => Parse(host) is not { } address || _authorities.Contains(address.Authority);

    /// <summary>A host as containerd reads it, which need not have a scheme (parseHostConfig in its core/remotes/docker/config/hosts.go).</summary>
    public static Uri? Parse(string host) =>
        Uri.TryCreate(host.StartsWith("http", StringComparison.Ordinal) ? host : Uri.UriSchemeHttps + "://" + host, UriKind.Absolute, out var address)
        && (address.Scheme == Uri.UriSchemeHttps || address.Scheme == Uri.UriSchemeHttp) ? address : null;

    /// <summary>Host and port, without a port that goes without saying. A directory's name does not tell the scheme.</summary>
    private static HashSet<string> Authorities(IEnumerable<string> hosts)
    {
        HashSet<string> authorities =
        [
            .. hosts.Select(host => DirectoryWithPort.Replace(host, "$1:$2"))
                .SelectMany(host => new[] { Parse(host), Parse($"{Uri.UriSchemeHttp}://{host}") })
                .OfType<Uri>().Select(address => address.Authority),
        ];
        if (authorities.Contains(DockerHub))
        {
            authorities.Add(DockerHubHost);
        }

        return authorities;
    }

    /// <summary>containerd's other way to write a port in a directory's name (hostDirectory in its core/remotes/docker/config/hosts.go).</summary>
    [GeneratedRegex(@"\A(.+)_([0-9]+)_\z", RegexOptions.CultureInvariant)]
    private static partial Regex DirectoryWithPort { get; }
}
