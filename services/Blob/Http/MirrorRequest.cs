using System.Diagnostics.CodeAnalysis;
using Microsoft.AspNetCore.WebUtilities;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Http;

/// <summary>A request for content, well formed in every part.</summary>
/// <param name="Kind">The endpoint that is asked.</param>
/// <param name="Repository">The repository's path below its registry.</param>
/// <param name="Digest">The content's digest; null when a tag names it.</param>
/// <param name="Tag">The manifest's tag; null when a digest names it.</param>
/// <param name="Registry">
/// The registry that would be asked without a mirror: the query parameter <c>ns</c>, which containerd sends, or else the first part of the name, by which any
/// client can say it, as in <c>/v2/docker.io/library/nginx/manifests/1.27</c>; null when there is neither.
/// </param>
internal sealed record MirrorRequest(ContentKind Kind, string Repository, Digest? Digest, string? Tag, string? Registry)
{
    private const string Prefix = "/v2/";

    /// <summary>The path and query at which another node's blob service has the content of <paramref name="digest"/>.</summary>
    public string PeerTarget(Digest digest)
    {
        var path = $"{Prefix}{Repository}/{(Kind == ContentKind.Manifest ? "manifests" : "blobs")}/{digest}";
        return Registry is null ? path : $"{path}?ns={Uri.EscapeDataString(Registry)}";
    }

    /// <summary>Whether <paramref name="target"/> is <c>/v2</c> or <c>/v2/</c>, the specification's end-1.</summary>
    public static bool IsBase(string target) => PathOf(target) is "/v2" or Prefix;

    /// <summary>
    /// Reads the request target as it came over the wire (RFC 9112, section 3.2): what a server would decode or normalise in a path is
    /// not part of any name, digest or tag, and so is refused.
    /// </summary>
    public static bool TryParse(string target, [NotNullWhen(true)] out MirrorRequest? request, [NotNullWhen(false)] out OciError? error)
    {
        request = null;
        error = null;
        var path = PathOf(target);
        if (!path.StartsWith(Prefix, StringComparison.Ordinal) || Split(path[Prefix.Length..]) is not var (name, kind, reference))
        {
            error = OciError.NoSuchEndpoint;
            return false;
        }

        var isDigest = Contracts.Digest.TryParse(reference, out var digest);
        if (!TryReadRegistry(target[path.Length..], out var ns))
        {
            error = OciError.InvalidRegistry;
        }
        else if ((ns is null ? SplitName(name) : ImageReference.IsRepository(name) ? (ns, name) : null) is not var (registry, repository))
        {
            error = OciError.InvalidName;
        }
        else if (!isDigest && (kind != ContentKind.Manifest || reference.Contains(':', StringComparison.Ordinal)))
        {
            error = OciError.InvalidDigest;
        }
        else if (!isDigest && !ImageReference.IsTag(reference))
        {
            error = OciError.InvalidTag;
        }
        else
        {
            request = new MirrorRequest(kind, repository, isDigest ? digest : null, isDigest ? null : reference, registry);
        }

        return error is null;
    }

    /// <summary>As containerd names it, for logs.</summary>
    public override string ToString() => $"{Registry ?? "-"}/{Repository}{(Digest is null ? ":" + Tag : "@" + Digest)}";

    private static string PathOf(string target) =>
        target.IndexOf('?', StringComparison.Ordinal) is var query and >= 0 ? target[..query] : target;

    /// <summary>A name may itself hold components with these names, so the path is read from its end.</summary>
    private static (string Name, ContentKind Kind, string Reference)? Split(string path)
    {
        var referenceSlash = path.LastIndexOf('/');
        var kindSlash = referenceSlash < 1 ? -1 : path.LastIndexOf('/', referenceSlash - 1);
        if (kindSlash < 0)
        {
            return null;
        }

        ContentKind? kind = path[(kindSlash + 1)..referenceSlash] switch
        {
            "manifests" => ContentKind.Manifest,
            "blobs" => ContentKind.Blob,
            "referrers" => ContentKind.Referrers,
            _ => null,
        };
        return kind is null ? null : (path[..kindSlash], kind.Value, path[(referenceSlash + 1)..]);
    }

    /// <summary>
    /// The registry that the first component of a name names, and the rest; the name alone where that is no host. As in any image reference, a host is told
    /// from a repository's component by a dot, a colon or being localhost.
    /// </summary>
    private static (string? Registry, string Repository)? SplitName(string name)
    {
        var slash = name.IndexOf('/', StringComparison.Ordinal);
        var host = slash < 0 ? "" : name[..slash];
        return host != "localhost" && !host.AsSpan().ContainsAny(".:") ? ImageReference.IsRepository(name) ? (null, name) : null
            : ImageReference.IsRepository(name[(slash + 1)..]) && ImageReference.TryParse(name, out var reference) ? (reference.Registry, reference.Repository)
            : null;
    }

    private static bool TryReadRegistry(string query, out string? registry)
    {
        registry = null;
        if (!QueryHelpers.ParseQuery(query).TryGetValue("ns", out var values))
        {
            return true;
        }

        registry = values.Count == 1 ? values[0] : null;
        return ImageReference.IsRegistry(registry);
    }
}
