using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Publishing;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Discovery.Sync;

/// <summary>
/// What the sidecar calls: the list of subscriptions, and the route of requests for snapshots (Dapr's documentation, Pub/sub API
/// reference, "Programmatic subscriptions").
/// </summary>
internal static partial class SyncEndpoint
{
    private const string SubscriptionsPath = "/dapr/subscribe";
    private const string RequestsPath = "/layer-sync";

    /// <summary>Answers the sidecar.</summary>
    public static void MapSync(this WebApplication app)
    {
        var topic = LayerTopics.Sync(app.Services.GetRequiredService<IOptions<NodeOptions>>().Value.Location);
        RequestDelegate subscriptions = context => context.Response.WriteAsJsonAsync(
            [new Subscription(DaprNames.LayerSync, topic, RequestsPath)], SyncJson.Default.SubscriptionArray, cancellationToken: context.RequestAborted);
        app.MapGet(SubscriptionsPath, subscriptions);

        var announcer = app.Services.GetRequiredService<Announcer>();
        var logger = app.Services.GetRequiredService<ILogger<Announcer>>();
        RequestDelegate requests = async context => await context.Response.WriteAsJsonAsync(
            await ReceiveAsync(context, announcer, logger), SyncJson.Default.Outcome, cancellationToken: context.RequestAborted);
        app.MapPost(RequestsPath, requests);
    }

    private static async Task<Outcome> ReceiveAsync(HttpContext context, Announcer announcer, ILogger logger)
    {
        try
        {
            var cloudEvent = await JsonSerializer.DeserializeAsync(context.Request.Body, ContractsJson.Default.CloudEvent, context.RequestAborted);
            announcer.Answer(cloudEvent?.ToSyncRequest() ?? throw new JsonException("The body is null."));
            return Outcome.Success;
        }
        catch (JsonException e)
        {
            Log.Dropped(logger, e.Message);
            return Outcome.Drop;
        }
    }

    /// <summary>A subscription as Dapr reads it.</summary>
    internal sealed record Subscription(
        [property: JsonPropertyName("pubsubname")] string PubsubName,
        [property: JsonPropertyName("topic")] string Topic,
        [property: JsonPropertyName("route")] string Route);

    /// <summary>What Dapr is to do with an event: it is done, or of no use to anybody.</summary>
    internal sealed record Outcome([property: JsonPropertyName("status")] string Status)
    {
        public static readonly Outcome Success = new("SUCCESS");
        public static readonly Outcome Drop = new("DROP");
    }

    [JsonSerializable(typeof(Subscription[]))]
    [JsonSerializable(typeof(Outcome))]
    internal sealed partial class SyncJson : JsonSerializerContext;

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "Dropped a request for a snapshot that cannot be read: {Reason}")]
        public static partial void Dropped(ILogger logger, string reason);
    }
}
