using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using SpegelDapr.LocalDapr.PubSub;

namespace SpegelDapr.LocalDapr.Api;

/// <summary><c>/v1.0/publish</c>. Topics may contain slashes.</summary>
internal sealed class PublishEndpoints(Publisher publisher)
{
    private static readonly string[] Methods = ["POST", "PUT"];

    public void Map(IEndpointRouteBuilder endpoints)
    {
        endpoints.MapMethods("/v1.0/publish/{pubsub}/{**topic}", Methods, PublishAsync);
        endpoints.MapMethods("/v1.0/publish/bulk/{pubsub}/{**topic}", Methods, PublishManyAsync);
        endpoints.MapMethods("/v1.0-alpha1/publish/bulk/{pubsub}/{**topic}", Methods, PublishManyAsync);
    }

    private async Task PublishAsync(HttpContext context)
    {
        var (pubSub, topic) = Target(context);
        await publisher.PublishAsync(
            pubSub, topic, await context.Request.BodyAsync(), context.Request.ContentType ?? "", context.Request.Metadata(),
            context.Request.Headers.TraceParent, context.RequestAborted);
        await context.Response.WriteEmptyAsync();
    }

    private async Task PublishManyAsync(HttpContext context)
    {
        var (pubSub, topic) = Target(context);
        publisher.Find(pubSub, topic);
        var shared = context.Request.Metadata();
        var entries = await context.Request.JsonBodyAsync<List<Entry>>();
        if (entries.Exists(entry => string.IsNullOrEmpty(entry.EntryId)) || entries.DistinctBy(entry => entry.EntryId).Count() < entries.Count)
        {
            throw DaprErrors.EventsMalformed(pubSub, topic, "entryId is duplicated or not present for entry");
        }

        var failed = new JsonArray();
        foreach (var entry in entries)
        {
            var metadata = new Dictionary<string, string>(shared);
            foreach (var (name, value) in entry.Metadata ?? [])
            {
                metadata[name] = value;
            }

            try
            {
                await publisher.PublishAsync(
                    pubSub, topic, Bytes(entry), entry.ContentType ?? "", metadata, context.Request.Headers.TraceParent, context.RequestAborted);
            }
            catch (DaprException e) when (e.HttpStatus >= StatusCodes.Status500InternalServerError)
            {
                failed.Add(new JsonObject { ["entryId"] = entry.EntryId, ["error"] = e.Message });
            }
        }

        await (failed.Count == 0
            ? context.Response.WriteEmptyAsync()
            : context.Response.WriteJsonAsync(
                new JsonObject { ["failedEntries"] = failed, ["errorCode"] = "ERR_PUBSUB_PUBLISH_MESSAGE" }, StatusCodes.Status500InternalServerError));
    }

    private static (string PubSub, string Topic) Target(HttpContext context) =>
        ((string)context.GetRouteValue("pubsub")!, context.GetRouteValue("topic") as string ?? "");

    // A string stands for itself, or for bytes in base64 where the content type is binary; anything else is JSON.
    private static byte[] Bytes(Entry entry) =>
        entry.Event.ValueKind != JsonValueKind.String || entry.ContentType?.StartsWith("application/json", StringComparison.OrdinalIgnoreCase) == true
            ? JsonSerializer.SerializeToUtf8Bytes(entry.Event)
            : entry.ContentType?.StartsWith("application/octet-stream", StringComparison.OrdinalIgnoreCase) == true
                ? entry.Event.GetBytesFromBase64()
                : Encoding.UTF8.GetBytes(entry.Event.GetString()!);

    private sealed record Entry(string? EntryId, JsonElement Event, string? ContentType, Dictionary<string, string>? Metadata);
}
