using System.Text.Json;
using SpegelDapr.LocalDapr.Invocation;

namespace SpegelDapr.LocalDapr.PubSub;

/// <summary>Asks an app what it subscribes to (dapr/pkg/runtime/pubsub/subscriptions.go).</summary>
internal sealed partial class AppSubscriptions(AppSpec app, AppChannel channel, ILogger<AppSubscriptions> logger)
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    /// <summary>The routes; none when the app has no <c>/dapr/subscribe</c>, or what it answers cannot be read.</summary>
    /// <exception cref="HttpRequestException">The app does not answer.</exception>
    public async Task<IReadOnlyList<TopicRoute>> ReadAsync(CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/dapr/subscribe");
        request.Headers.TryAddWithoutValidation("dapr-app-id", app.AppId);
        using var answer = await channel.SendAsync(request, cancellation);
        if (!answer.IsSuccessStatusCode)
        {
            if (answer.StatusCode != System.Net.HttpStatusCode.NotFound)
            {
                Log.Refused(logger, app.AppId, (int)answer.StatusCode);
            }

            return [];
        }

        try
        {
            await using var body = await answer.Content.ReadAsStreamAsync(cancellation);
            var items = await JsonSerializer.DeserializeAsync<List<Item>>(body, Json, cancellation) ?? [];
            return [.. items.Select(ToRoute).OfType<TopicRoute>()];
        }
        catch (JsonException e)
        {
            Log.Malformed(logger, app.AppId, e.Message);
            return [];
        }
    }

    private TopicRoute? ToRoute(Item item)
    {
        var path = item.Routes?.Default is { Length: > 0 } byDefault ? byDefault : item.Route ?? "";
        var reason = item.Routes?.Rules is { Count: > 0 } ? "routing rules are not supported by LocalDapr"
            : item.BulkSubscribe?.Enabled == true ? "bulk subscriptions are not supported by LocalDapr"
            : path.Length == 0 ? "it has no route"
            : null;
        if (reason is not null)
        {
            Log.Skipped(logger, app.AppId, item.Topic ?? "", item.PubSubName ?? "", reason);
            return null;
        }

        return new TopicRoute(item.PubSubName ?? "", item.Topic ?? "", path, item.DeadLetterTopic ?? "", item.Metadata ?? []);
    }

    private sealed record Item(
        string? PubSubName, string? Topic, string? Route, Routes? Routes, string? DeadLetterTopic, Dictionary<string, string>? Metadata, Bulk? BulkSubscribe);

    private sealed record Routes(List<JsonElement>? Rules, string? Default);

    private sealed record Bulk(bool Enabled);

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Error, Message = "App {App} answered {Status} to GET /dapr/subscribe; it gets no messages.")]
        public static partial void Refused(ILogger logger, string app, int status);

        [LoggerMessage(Level = LogLevel.Error, Message = "App {App} answered GET /dapr/subscribe with what is no list of subscriptions; it gets no messages: {Reason}")]
        public static partial void Malformed(ILogger logger, string app, string reason);

        [LoggerMessage(Level = LogLevel.Error, Message = "The subscription of app {App} to topic '{Topic}' of '{PubSub}' is left out: {Reason}.")]
        public static partial void Skipped(ILogger logger, string app, string topic, string pubSub, string reason);
    }
}
