using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using SpegelDapr.LocalDapr.State;

namespace SpegelDapr.LocalDapr.Api;

/// <summary><c>/v1.0/state</c>.</summary>
internal sealed class StateEndpoints(StateAccess state)
{
    private static readonly string[] Methods = ["POST", "PUT"];

    public void Map(IEndpointRouteBuilder endpoints)
    {
        endpoints.MapGet("/v1.0/state/{store}/{key}", GetAsync);
        endpoints.MapDelete("/v1.0/state/{store}/{key}", DeleteAsync);
        endpoints.MapMethods("/v1.0/state/{store}", Methods, SaveAsync);
        endpoints.MapMethods("/v1.0/state/{store}/bulk", Methods, GetManyAsync);
        endpoints.MapMethods("/v1.0/state/{store}/transaction", Methods, TransactAsync);
    }

    private async Task GetAsync(HttpContext context)
    {
        if (await state.GetAsync(Store(context), Key(context), context.RequestAborted) is not { } entry)
        {
            await context.Response.WriteEmptyAsync();
            return;
        }

        context.Response.Headers.ETag = entry.ETag;
        foreach (var (name, value) in entry.Metadata)
        {
            context.Response.Headers[$"metadata.{name}"] = value;
        }

        context.Response.ContentType = "application/json";
        await context.Response.Body.WriteAsync(entry.Data, context.RequestAborted);
    }

    private async Task GetManyAsync(HttpContext context)
    {
        state.Store(Store(context));
        var request = await context.Request.JsonBodyAsync<GetManyRequest>();
        var items = await state.GetManyAsync(Store(context), request.Keys ?? [], request.Parallelism, context.RequestAborted);
        await context.Response.WriteJsonAsync(new JsonArray([.. items.Select(ToJson)]));
    }

    private async Task SaveAsync(HttpContext context)
    {
        state.Store(Store(context));
        var items = await context.Request.JsonBodyAsync<List<Item>>();
        var shared = context.Request.Metadata();
        await state.SaveAsync(Store(context), [.. items.Select(item => item.ToChange(shared, deletes: false))], context.RequestAborted);
        await context.Response.WriteEmptyAsync();
    }

    private async Task DeleteAsync(HttpContext context)
    {
        var query = context.Request.Query;
        var etag = context.Request.Headers.IfMatch.FirstOrDefault();
        var request = new ChangeRequest(
            Key(context), null, etag, query["concurrency"].FirstOrDefault() ?? "", query["consistency"].FirstOrDefault() ?? "", context.Request.Metadata());
        await state.DeleteAsync(Store(context), request, context.RequestAborted);
        await context.Response.WriteEmptyAsync();
    }

    private async Task TransactAsync(HttpContext context)
    {
        state.Store(Store(context));
        var request = await context.Request.JsonBodyAsync<TransactionRequest>();
        var shared = context.Request.Metadata();
        var changes = (request.Operations ?? []).Select(operation => operation.Operation switch
        {
            "upsert" => (operation.Request ?? new()).ToChange(shared, deletes: false),
            "delete" => (operation.Request ?? new()).ToChange(shared, deletes: true),
            var other => throw DaprErrors.StateOperation(other ?? ""),
        });
        await state.TransactAsync(Store(context), [.. changes], context.RequestAborted);
        await context.Response.WriteEmptyAsync();
    }

    private static string Store(HttpContext context) => (string)context.GetRouteValue("store")!;

    private static string Key(HttpContext context) => (string)context.GetRouteValue("key")!;

    private static JsonObject ToJson(BulkItem item)
    {
        var json = new JsonObject { ["key"] = item.Key };
        if (item.Error is { } error)
        {
            json["error"] = error;
        }
        else if (item.Entry is { } entry)
        {
            json["data"] = ToJson(entry.Data);
            json["etag"] = entry.ETag;
            if (entry.Metadata.Count > 0)
            {
                json["metadata"] = new JsonObject(entry.Metadata.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value)));
            }
        }

        return json;
    }

    // What gRPC saved need not be JSON.
    private static JsonNode? ToJson(byte[] data)
    {
        try
        {
            return JsonNode.Parse(data);
        }
        catch (JsonException)
        {
            return Encoding.UTF8.GetString(data);
        }
    }

    private sealed record GetManyRequest(List<string>? Keys, int Parallelism);

    private sealed record TransactionRequest(List<TransactionOperation>? Operations);

    private sealed record TransactionOperation(string? Operation, Item? Request);

    private sealed record Options(string? Concurrency, string? Consistency);

    private sealed record Item(
        string? Key = null, JsonElement Value = default, string? ETag = null, Dictionary<string, string>? Metadata = null, Options? Options = null)
    {
        // Metadata in the URL goes before that of the item.
        public ChangeRequest ToChange(Dictionary<string, string> shared, bool deletes) => new(
            Key is { Length: > 0 } ? Key : throw DaprErrors.StateKeyMissing(),
            deletes ? null : Value.ValueKind == JsonValueKind.Undefined ? "null"u8.ToArray() : JsonSerializer.SerializeToUtf8Bytes(Value),
            ETag,
            Options?.Concurrency ?? "",
            Options?.Consistency ?? "",
            new Dictionary<string, string>((Metadata ?? []).Concat(shared).GroupBy(pair => pair.Key).Select(group => group.Last())));
    }
}
