using System.Net;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>A registry that the mirror is to be asked for first.</summary>
/// <param name="Name">Host and optional port as in an image's name, or <see cref="All"/>.</param>
/// <param name="Server">Where it is; null for where containerd looks by itself.</param>
internal sealed record MirroredRegistry(string Name, string? Server)
{
    /// <summary>containerd's directory for the registries that have none of their own.</summary>
    public const string All = "_default";

    private const string DockerHub = "docker.io";
    private const string DockerHubIndex = "index.docker.io";
    private const string Https = "https://";
    private const string Http = "http://";

    /// <summary>Reads what <c>--registry</c> was given; nothing at all means all registries.</summary>
    /// <exception cref="UserErrorException">One of them is no registry, or is given in two ways.</exception>
    public static IReadOnlyList<MirroredRegistry> ParseAll(IReadOnlyCollection<string> options)
    {
        if (options.Count == 0)
        {
            return [new MirroredRegistry(All, null)];
        }

        List<MirroredRegistry> registries = [.. options.Select(Parse).Distinct()];
        return registries.GroupBy(registry => registry.Name).FirstOrDefault(group => group.Count() > 1) is { } twice
            ? throw new UserErrorException($"--registry names '{twice.Key}' in two ways: give it once.")
            : registries;
    }

    private static MirroredRegistry Parse(string option)
    {
        if (option is All or "*")
        {
            return new MirroredRegistry(All, null);
        }

        var scheme = option.StartsWith(Https, StringComparison.Ordinal) ? Https : option.StartsWith(Http, StringComparison.Ordinal) ? Http : "";
        var name = option[scheme.Length..];
        if (!ImageReference.IsRegistry(name))
        {
            throw new UserErrorException($"--registry is '{option}': give a registry without a path, such as https://docker.io or ghcr.io, or {All} for all.");
        }

        if (name.Any(char.IsAsciiLetterUpper))
        {
            throw new UserErrorException($"--registry is '{option}': write it in lower case, as images that are pulled from it do.");
        }

        // What an image's name says of either is the same registry (distribution/reference).
        if (name == DockerHubIndex)
        {
            name = DockerHub;
        }

        return new MirroredRegistry(name, name == DockerHub ? Https + RegistryEndpoints.DockerHubHost : scheme.Length > 0 ? option : IsLocal(name) ? null : Https + name);
    }

    /// <summary>Whether containerd speaks to it with TLS or without, as it finds out (IsLocalhost in its remotes/docker).</summary>
    private static bool IsLocal(string name) =>
        Uri.TryCreate(Http + name, UriKind.Absolute, out var uri)
        && (uri.Host == "localhost" || (IPAddress.TryParse(uri.Host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address)));
}
