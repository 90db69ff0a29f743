using System.Diagnostics.CodeAnalysis;
using Microsoft.AspNetCore.WebUtilities;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Mirror;

/// <summary>A request for content, well formed in every part.</summary>
/// <param name="Kind">The endpoint that is asked.</param>
/// <param name="Repository">The repository's path below its registry.</param>
/// <param name="Digest">The content's digest; null when a tag names it.</param>
/// <param name="Tag">The manifest's tag; null when a digest names it.</param>
/// <param name="Registry">The registry that containerd would ask without a mirror, its query parameter <c>ns</c>; null when absent.</param>
internal sealed record MirrorRequest(ContentKind Kind, string Repository, Digest? Digest, string? Tag, string? Registry)
{
    /// <summary>The specification's end-1, which says that the API is there.</summary>
    public const string Base = "/v2/";

    private const string Prefix = Base;

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
        if (!ImageReference.IsRepository(name))
        {
            error = OciError.InvalidName;
        }
        else if (!isDigest && (kind == ContentKind.Blob || reference.Contains(':', StringComparison.Ordinal)))
        {
            error = OciError.InvalidDigest;
        }
        else if (!isDigest && !ImageReference.IsTag(reference))
        {
            error = OciError.InvalidTag;
        }
        else if (!TryReadRegistry(target[path.Length..], out var registry))
        {
            error = OciError.InvalidRegistry;
        }
        else
        {
            request = new MirrorRequest(kind, name, isDigest ? digest : null, isDigest ? null : reference, registry);
        }

        return error is null;
    }

    /// <summary>As containerd names it, for logs.</summary>
    public override string ToString() => $"{Registry ?? "-"}/{Repository}{(Digest is null ? ":" + Tag : "@" + Digest)}";

    private static string PathOf(string target) =>
        target.IndexOf('?', StringComparison.Ordinal) is var query and >= 0 ? target[..query] : target;

    /// <summary>A name may itself hold components called manifests or blobs, so the path is read from its end.</summary>
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
            _ => null,
        };
        return kind is null ? null : (path[..kindSlash], kind.Value, path[(referenceSlash + 1)..]);
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
