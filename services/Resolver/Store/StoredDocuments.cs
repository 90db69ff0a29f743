using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace SpegelDapr.Resolver.Store;

/// <summary>Documents as JSON.</summary>
internal static partial class StoredDocuments
{
    /// <summary>
    /// What the document says; null when it does not exist. One that cannot be read, because another version wrote it, counts as absent: the next
    /// write replaces it.
    /// </summary>
    public static T? Read<T>(this StoredDocument document, JsonTypeInfo<T> type, ILogger logger)
        where T : class
    {
        if (document.Value is not { } json)
        {
            return null;
        }

        try
        {
            return JsonSerializer.Deserialize(json.Span, type);
        }
        catch (JsonException e)
        {
            Log.Unreadable(logger, document.Key, e.Message);
            return null;
        }
    }

    /// <summary>The write that replaces a document that was read with this ETag.</summary>
    public static DocumentWrite ToWrite<T>(this T document, string key, JsonTypeInfo<T> type, string? etag, TimeSpan timeToLive) =>
        new(key, JsonSerializer.SerializeToUtf8Bytes(document, type), etag, timeToLive);

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "The state store's document '{Key}' cannot be read and will be replaced: {Reason}")]
        public static partial void Unreadable(ILogger logger, string key, string reason);
    }
}
