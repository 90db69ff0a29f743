using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace SpegelDapr.LocalDapr.Api;

/// <summary>What the endpoints of the HTTP API share.</summary>
internal static class HttpResults
{
    private const string MetadataPrefix = "metadata.";

    private static readonly JsonSerializerOptions Json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Metadata from query parameters of the form <c>metadata.name=value</c>.</summary>
    public static Dictionary<string, string> Metadata(this HttpRequest request) => request.Query
        .Where(parameter => parameter.Key.StartsWith(MetadataPrefix, StringComparison.Ordinal))
        .ToDictionary(parameter => parameter.Key[MetadataPrefix.Length..], parameter => parameter.Value[0] ?? "");

    /// <summary>Reads the body.</summary>
    public static async Task<ReadOnlyMemory<byte>> BodyAsync(this HttpRequest request)
    {
        using var body = new MemoryStream();
        await request.Body.CopyToAsync(body, request.HttpContext.RequestAborted);
        return body.GetBuffer().AsMemory(0, (int)body.Length);
    }

    /// <summary>Reads the body as JSON.</summary>
    /// <exception cref="DaprException">It is none, or not of the shape.</exception>
    public static async Task<T> JsonBodyAsync<T>(this HttpRequest request)
    {
        try
        {
            return await JsonSerializer.DeserializeAsync<T>(request.Body, JsonSerializerOptions.Web, request.HttpContext.RequestAborted)
                ?? throw DaprErrors.Malformed("null");
        }
        catch (JsonException e)
        {
            throw DaprErrors.Malformed(e.Message);
        }
    }

    /// <summary>Answers with JSON.</summary>
    public static Task WriteJsonAsync(this HttpResponse response, JsonNode json, int status = StatusCodes.Status200OK)
    {
        response.StatusCode = status;
        response.ContentType = "application/json";
        return response.WriteAsync(json.ToJsonString(Json), response.HttpContext.RequestAborted);
    }

    /// <summary>Answers 204.</summary>
    public static Task WriteEmptyAsync(this HttpResponse response)
    {
        response.StatusCode = StatusCodes.Status204NoContent;
        return Task.CompletedTask;
    }
}
