using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpegelDapr.Contracts;

/// <summary>A value that is written as one string, on the command line, in settings and in JSON, and that only parsing can make.</summary>
/// <typeparam name="T">The value's own type.</typeparam>
public interface IParsedText<T>
    where T : IParsedText<T>
{
    /// <summary>What well-formed text looks like, for error messages: a noun with its article.</summary>
    static abstract string Form { get; }

    /// <summary>Parses <paramref name="text"/>; false when it is null or not well formed.</summary>
    static abstract bool TryParse([NotNullWhen(true)] string? text, out T value);
}

internal static class ParsedText
{
    private const int LongestQuoted = 80;

    public static T Parse<T>(string? text)
        where T : IParsedText<T> => T.TryParse(text, out var value) ? value : throw new FormatException($"{Quote(text)} is not {T.Form}.");

    private static string Quote(string? text) => text switch
    {
        null => "null",
        { Length: > LongestQuoted } => $"'{text[..LongestQuoted]}…'",
        _ => $"'{text}'",
    };
}

/// <summary>Reads and writes a parsed value as a JSON string; text that is not well formed is a <see cref="JsonException"/>.</summary>
public abstract class ParsedTextJsonConverter<T> : JsonConverter<T>
    where T : struct, IParsedText<T>
{
    /// <inheritdoc/>
    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        try
        {
            return ParsedText.Parse<T>(reader.TokenType == JsonTokenType.String ? reader.GetString() : null);
        }
        catch (FormatException e)
        {
            throw new JsonException(e.Message, e);
        }
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}

/// <summary>A digest as a JSON string. Public for the source-generated JSON of other assemblies.</summary>
public sealed class DigestJsonConverter : ParsedTextJsonConverter<Digest>;

/// <summary>A key as a JSON string. Public for the source-generated JSON of other assemblies.</summary>
public sealed class ContentKeyJsonConverter : ParsedTextJsonConverter<ContentKey>;

/// <summary>A location as a JSON string. Public for the source-generated JSON of other assemblies.</summary>
public sealed class LocationJsonConverter : ParsedTextJsonConverter<Location>;

/// <summary>A node's name as a JSON string. Public for the source-generated JSON of other assemblies.</summary>
public sealed class NodeNameJsonConverter : ParsedTextJsonConverter<NodeName>;

/// <summary>A blob address as a JSON string. Public for the source-generated JSON of other assemblies.</summary>
public sealed class BlobAddressJsonConverter : ParsedTextJsonConverter<BlobAddress>;

/// <summary>A node's claim as a JSON string. Public for the source-generated JSON of other assemblies.</summary>
public sealed class PeerClaimJsonConverter : ParsedTextJsonConverter<PeerClaim>;
