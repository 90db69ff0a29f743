using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Serialization;

namespace SpegelDapr.Contracts;

/// <summary>
/// What is looked up: a digest (<c>sha256:…</c>) or a tag reference in full (<c>docker.io/library/nginx:1.27</c>). There is one text
/// for each key, so equal keys are equal strings in every store.
/// </summary>
[JsonConverter(typeof(ContentKeyJsonConverter))]
public readonly record struct ContentKey : IParsedText<ContentKey>
{
    private readonly string? _text;

    private ContentKey(string text, Digest? digest) => (_text, Digest) = (text, digest);

    /// <inheritdoc/>
    public static string Form => $"{Contracts.Digest.Form}, or a full tag reference such as docker.io/library/nginx:1.27";

    /// <summary>The digest, when the key is one; null when it is a tag reference.</summary>
    public Digest? Digest { get; }

    /// <summary>Whether the key is a tag reference.</summary>
    public bool IsTag => _text is not null && Digest is null;

    /// <summary>The key of a digest.</summary>
    public static implicit operator ContentKey(Digest digest) => FromDigest(digest);

    /// <summary>The key of a digest.</summary>
    public static ContentKey FromDigest(Digest digest) => new(digest.ToString(), digest);

    /// <summary>The key of a tag in a repository of a registry; false when one of them is not well formed.</summary>
    public static bool TryFromTag(string registry, string repository, string tag, out ContentKey key) =>
        TryParse($"{registry}/{repository}:{tag}", out key) && key.IsTag;

    /// <inheritdoc/>
    public static bool TryParse([NotNullWhen(true)] string? text, out ContentKey value)
    {
        value = default;
        if (Contracts.Digest.TryParse(text, out var digest))
        {
            value = digest;
            return true;
        }

        if (!ImageReference.TryParse(text, out var reference) || reference.Digest is not null || reference.ToString() != text)
        {
            return false;
        }

        value = new ContentKey(text, null);
        return true;
    }

    /// <summary>Parses a digest or a full tag reference.</summary>
    /// <exception cref="FormatException"><paramref name="text"/> is neither.</exception>
    public static ContentKey Parse(string text) => ParsedText.Parse<ContentKey>(text);

    /// <summary>The digest or the tag reference in full; empty for the default value.</summary>
    public override string ToString() => _text ?? "";
}
