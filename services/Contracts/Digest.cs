using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text.Json.Serialization;

namespace SpegelDapr.Contracts;

/// <summary>
/// A content digest, <c>algorithm:hex</c>, as the OCI image specification's descriptor.md defines it. Only the registered algorithms
/// sha256 (64 lower-case hex digits) and sha512 (128) are accepted, so a parsed digest is safe as a file name.
/// </summary>
[JsonConverter(typeof(DigestJsonConverter))]
public readonly record struct Digest : IParsedText<Digest>
{
    private const string Sha256Prefix = "sha256:";
    private const string Sha512Prefix = "sha512:";

    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    private readonly string? _text;

    private Digest(string text) => _text = text;

    /// <summary>What a well-formed digest looks like, for error messages.</summary>
    public static string Form => "a digest, sha256:<64 hex digits> or sha512:<128 hex digits>";

    /// <summary><c>sha256</c> or <c>sha512</c>; the name of the directory under <c>blobs/</c>.</summary>
    public string Algorithm => Text[..6];

    /// <summary>The lower-case hex digits; the file's name under <c>blobs/&lt;algorithm&gt;/</c>.</summary>
    public string Hex => Text[7..];

    /// <summary>The algorithm to hash with in order to check content against this digest.</summary>
    public HashAlgorithmName HashAlgorithm => Text.StartsWith(Sha256Prefix, StringComparison.Ordinal) ? HashAlgorithmName.SHA256 : HashAlgorithmName.SHA512;

    private string Text => _text ?? throw new InvalidOperationException("A default Digest has no value.");

    /// <summary>The digest of <paramref name="content"/> under sha256.</summary>
    public static Digest OfSha256(ReadOnlySpan<byte> content) => new(Sha256Prefix + Convert.ToHexStringLower(SHA256.HashData(content)));

    /// <summary>The digest whose hash has been computed by the algorithm named.</summary>
    /// <exception cref="ArgumentException">The algorithm is neither SHA-256 nor SHA-512, or the hash has the wrong length.</exception>
    public static Digest FromHash(HashAlgorithmName algorithm, ReadOnlySpan<byte> hash) =>
        TryParse((algorithm == HashAlgorithmName.SHA256 ? Sha256Prefix : Sha512Prefix) + Convert.ToHexStringLower(hash), out var digest)
            ? digest
            : throw new ArgumentException($"Not a hash of {algorithm}: {hash.Length} bytes.", nameof(hash));

    /// <inheritdoc/>
    public static bool TryParse([NotNullWhen(true)] string? text, out Digest value)
    {
        value = default;
        var hexLength = text switch
        {
            not null when text.StartsWith(Sha256Prefix, StringComparison.Ordinal) => 64,
            not null when text.StartsWith(Sha512Prefix, StringComparison.Ordinal) => 128,
            _ => -1,
        };
        if (text is null || hexLength < 0 || text.Length != Sha256Prefix.Length + hexLength || text.AsSpan(Sha256Prefix.Length).ContainsAnyExcept(HexDigits))
        {
            return false;
        }

        value = new Digest(text);
        return true;
    }

    /// <summary>Parses <c>algorithm:hex</c>.</summary>
    /// <exception cref="FormatException"><paramref name="text"/> is not a digest.</exception>
    public static Digest Parse(string text) => ParsedText.Parse<Digest>(text);

    /// <summary><c>algorithm:hex</c>; empty for the default value.</summary>
    public override string ToString() => _text ?? "";
}
