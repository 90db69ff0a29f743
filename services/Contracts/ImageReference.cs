using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;

namespace SpegelDapr.Contracts;

/// <summary>
/// An image reference in the grammar of distribution/reference, which containerd and Docker use, normalised: <c>nginx</c> is
/// <c>docker.io/library/nginx:latest</c>. Names and tags also satisfy the OCI distribution specification.
/// </summary>
public sealed partial record ImageReference
{
    private const string DockerHub = "docker.io";
    private const int LongestRepository = 255;

    private ImageReference(string registry, string repository, string? tag, Digest? digest) =>
        (Registry, Repository, Tag, Digest) = (registry, repository, tag, digest);

    /// <summary>Host and optional port, as in <c>docker.io</c>, <c>localhost:5000</c> or <c>[::1]:5000</c>.</summary>
    public string Registry { get; }

    /// <summary>The repository's path below the registry, as in <c>library/nginx</c>.</summary>
    public string Repository { get; }

    /// <summary>The tag, or null when a digest alone names the image.</summary>
    public string? Tag { get; }

    /// <summary>The digest, or null when a tag alone names the image.</summary>
    public Digest? Digest { get; }

    /// <summary>What a manifest is asked for by: the digest where there is one, else the tag.</summary>
    public string TagOrDigest => Digest?.ToString() ?? Tag!;

    /// <summary>
    /// Parses a reference as a person types it: no registry means docker.io, one path component there means <c>library/</c>, and
    /// neither tag nor digest means <c>latest</c>. False when it is not well formed.
    /// </summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out ImageReference? reference)
    {
        reference = null;
        if (string.IsNullOrEmpty(text))
        {
            return false;
        }

        Digest? digest = null;
        var name = text;
        if (text.IndexOf('@', StringComparison.Ordinal) is var at and >= 0)
        {
            if (!Contracts.Digest.TryParse(text[(at + 1)..], out var parsed))
            {
                return false;
            }

            (digest, name) = (parsed, text[..at]);
        }

        string? tag = null;
        if (name.LastIndexOf(':') is var colon && colon > name.LastIndexOf('/'))
        {
            (tag, name) = (name[(colon + 1)..], name[..colon]);
        }

        var (registry, repository) = SplitName(name);
        if (!IsRegistry(registry) || !IsRepository(repository) || (tag is not null && !IsTag(tag)))
        {
            return false;
        }

        reference = new ImageReference(registry, repository, tag ?? (digest is null ? "latest" : null), digest);
        return true;
    }

    /// <summary>Parses a reference as <see cref="TryParse"/> does.</summary>
    /// <exception cref="FormatException"><paramref name="text"/> is not an image reference.</exception>
    public static ImageReference Parse(string text) =>
        TryParse(text, out var reference)
            ? reference
            : throw new FormatException($"'{text}' is not an image reference, such as docker.io/library/nginx:1.27 or ghcr.io/org/app@sha256:….");

    /// <summary>Whether <paramref name="text"/> is a registry: host name, IPv4 address or bracketed IPv6 address, with or without a port.</summary>
    public static bool IsRegistry([NotNullWhen(true)] string? text) => text is { Length: > 0 and <= 261 } && RegistryGrammar.IsMatch(text);

    /// <summary>Whether <paramref name="text"/> is a repository's path below a registry: lower-case components joined by slashes, at most 255 characters.</summary>
    public static bool IsRepository([NotNullWhen(true)] string? text) => text is { Length: > 0 and <= LongestRepository } && RepositoryGrammar.IsMatch(text);

    /// <summary>Whether <paramref name="text"/> is a tag: at most 128 characters of <c>[A-Za-z0-9_.-]</c>, not starting with a dot or dash.</summary>
    public static bool IsTag([NotNullWhen(true)] string? text) => text is not null && TagGrammar.IsMatch(text);

    /// <summary>The normalised reference in full.</summary>
    public override string ToString() => $"{Registry}/{Repository}{(Tag is null ? "" : ":" + Tag)}{(Digest is null ? "" : "@" + Digest)}";

    private static (string Registry, string Repository) SplitName(string name)
    {
        var slash = name.IndexOf('/', StringComparison.Ordinal);
        var first = slash < 0 ? "" : name[..slash];
        var hasRegistry = first.AsSpan().ContainsAny(".:") || first == "localhost" || first.Any(char.IsAsciiLetterUpper);
        var (registry, repository) = hasRegistry ? (first, name[(slash + 1)..]) : (DockerHub, name);
        if (registry == "index.docker.io")
        {
            registry = DockerHub;
        }

        return (registry, registry == DockerHub && !repository.Contains('/', StringComparison.Ordinal) ? "library/" + repository : repository);
    }

    [GeneratedRegex(@"\A(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]{1,5})?\z", RegexOptions.CultureInvariant)]
    private static partial Regex RegistryGrammar { get; }

    [GeneratedRegex(@"\A[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\z", RegexOptions.CultureInvariant)]
    private static partial Regex RepositoryGrammar { get; }

    [GeneratedRegex(@"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\z", RegexOptions.CultureInvariant)]
    private static partial Regex TagGrammar { get; }
}
