using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace SpegelDapr.LocalDapr.PubSub;

/// <summary>
/// The CloudEvent in which Dapr wraps what is published (components-contrib/pubsub/envelope.go, dapr/pkg/runtime/pubsub/cloudevents.go).
/// </summary>
internal static class CloudEventEnvelope
{
    public const string ContentType = "application/cloudevents+json";

    private const string Version = "1.0";
    private const string Source = "Dapr";
    private const string Type = "com.dapr.event.sent";

    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>
    /// The envelope of published data. Metadata that starts with <c>cloudevent.</c> overrides id, source, type, subject, traceid, traceparent
    /// and tracestate. Data that is a CloudEvent already keeps its attributes.
    /// </summary>
    /// <exception cref="JsonException">The content type says CloudEvent, and the data is none.</exception>
    public static byte[] Wrap(
        ReadOnlyMemory<byte> data, string contentType, string appId, string pubSub, string topic, IReadOnlyDictionary<string, string> metadata,
        string traceParent, DateTimeOffset now)
    {
        var envelope = IsType(contentType, ContentType)
            ? FromCloudEvent(data, pubSub, topic, traceParent, now)
            : New(data, contentType, appId, pubSub, topic, metadata, traceParent, now);
        if (metadata.TryGetValue("ttlInSeconds", out var text) && long.TryParse(text, CultureInfo.InvariantCulture, out var ttl) && ttl > 0)
        {
            envelope["expiration"] = Time(now.AddSeconds(ttl));
        }

        return JsonSerializer.SerializeToUtf8Bytes(envelope, Json);
    }

    /// <summary>The envelope that a subscriber of raw payloads gets.</summary>
    public static byte[] WrapRaw(ReadOnlyMemory<byte> data, string pubSub, string topic) => JsonSerializer.SerializeToUtf8Bytes(
        new JsonObject
        {
            ["data_base64"] = Convert.ToBase64String(data.Span),
            ["datacontenttype"] = "application/octet-stream",
            ["id"] = Guid.NewGuid().ToString(),
            ["pubsubname"] = pubSub,
            ["source"] = Source,
            ["specversion"] = Version,
            ["topic"] = topic,
            ["type"] = Type,
        },
        Json);

    /// <summary>Whether the time in the envelope's <c>expiration</c> has passed.</summary>
    public static bool HasExpired(JsonElement envelope, DateTimeOffset now) =>
        envelope.ValueKind == JsonValueKind.Object && envelope.TryGetProperty("expiration", out var expiration)
        && expiration.ValueKind == JsonValueKind.String
        && DateTimeOffset.TryParse(expiration.GetString(), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) && time < now;

    private static JsonObject New(
        ReadOnlyMemory<byte> data, string contentType, string appId, string pubSub, string topic, IReadOnlyDictionary<string, string> metadata,
        string traceParent, DateTimeOffset now)
    {
        // Names are matched in any case, as the decoder that Dapr uses does.
        var overrides = new Dictionary<string, string>(metadata, StringComparer.OrdinalIgnoreCase);
        string Override(string attribute, string otherwise) => overrides.GetValueOrDefault($"cloudevent.{attribute}") is { Length: > 0 } value ? value : otherwise;

        var trace = Override("traceparent", Override("traceid", traceParent));
        var type = contentType.Length == 0 ? "text/plain" : contentType;
        var (field, value) = Data(data, type);
        var envelope = new JsonObject
        {
            [field] = value,
            ["datacontenttype"] = type,
            ["id"] = Override("id", Guid.NewGuid().ToString()),
            ["pubsubname"] = pubSub,
            ["source"] = Override("source", appId),
            ["specversion"] = Version,
            ["time"] = Time(now),
            ["topic"] = topic,
            ["traceid"] = trace,
            ["traceparent"] = trace,
            ["tracestate"] = Override("tracestate", ""),
            ["type"] = Override("type", Type),
        };
        if (Override("subject", "") is { Length: > 0 } subject)
        {
            envelope["subject"] = subject;
        }

        return envelope;
    }

    private static JsonObject FromCloudEvent(ReadOnlyMemory<byte> data, string pubSub, string topic, string traceParent, DateTimeOffset now)
    {
        var envelope = JsonNode.Parse(data.Span) as JsonObject ?? throw new JsonException("A CloudEvent is a JSON object.");
        envelope.TryAdd("time", Time(now));
        if (envelope.TryAdd("traceid", traceParent))
        {
            envelope["traceparent"] = traceParent;
        }

        envelope.TryAdd("tracestate", "");
        envelope["topic"] = topic;
        envelope["pubsubname"] = pubSub;
        envelope["source"] ??= Source;
        envelope["type"] ??= Type;
        envelope["specversion"] ??= Version;
        return envelope;
    }

    private static (string Field, JsonNode? Value) Data(ReadOnlyMemory<byte> data, string contentType)
    {
        if (IsType(contentType, "application/json"))
        {
            try
            {
                return ("data", JsonNode.Parse(data.Span));
            }
            catch (JsonException)
            {
                return ("data", Encoding.UTF8.GetString(data.Span));
            }
        }

        return IsType(contentType, "application/octet-stream") || IsType(contentType, "application/cloudevents+protobuf")
            ? ("data_base64", Convert.ToBase64String(data.Span))
            : ("data", Encoding.UTF8.GetString(data.Span));
    }

    private static bool IsType(string contentType, string expected)
    {
        var end = contentType.IndexOf(';', StringComparison.Ordinal);
        return contentType.AsSpan(0, end < 0 ? contentType.Length : end).Equals(expected, StringComparison.OrdinalIgnoreCase);
    }

    private static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
