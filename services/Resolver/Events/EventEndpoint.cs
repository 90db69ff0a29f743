using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grpc.Core;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Hearing;
using SpegelDapr.Resolver.Store;
using SpegelDapr.Resolver.Subscribing;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Resolver.Events;

/// <summary>
/// Subscribes to the topics of the locations in reach, unless resources do, and to that of wishes, and answers the events. Each location has a route of
/// its own, so that Dapr and not the event says which topic it came on.
/// </summary>
internal sealed partial class EventEndpoint(
    Reach reach,
    EventApplier applier,
    ISidecar sidecar,
    SilenceWatch silence,
    WishEndpoint wishes,
    ResolverMetrics metrics,
    TimeProvider time,
    ILogger<EventEndpoint> logger)
{
    /// <summary>Room for the event in a CloudEvent, with its tracing attributes.</summary>
    private const int MostBytes = LayerEvent.MaxBytes + (16 * 1024);

    /// <summary>Below the 15 seconds after which Dapr's Redis component delivers an event again to another replica.</summary>
    private static readonly TimeSpan ApplyBudget = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long the sidecar waits for the cluster's nodes when it asks what to subscribe to. It asks once, and is not ready meanwhile; below the
    /// time after which Kubernetes gives an unready sidecar up.
    /// </summary>
    private static readonly TimeSpan FirstSeenBudget = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan SidecarBudget = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<string, LogThrottle> _throttles = new();

    /// <summary>Maps <c>/dapr/subscribe</c>, where Dapr asks an app for its subscriptions, and the routes that it names.</summary>
    public void Map(IEndpointRouteBuilder endpoints)
    {
        endpoints.MapGet("/dapr/subscribe", SubscribeAsync);
        endpoints.MapPost(LayerTopics.EventPath("{region}", "{zone}"), HandleAsync);
    }

    private async Task SubscribeAsync(HttpContext context)
    {
        try
        {
            await reach.FirstSeen.WaitAsync(FirstSeenBudget, time, context.RequestAborted);
        }
        catch (TimeoutException)
        {
            Log.NoNodes(logger, FirstSeenBudget.TotalSeconds);
        }

        IEnumerable<Location> told = await IsDeclaredAsync(context.RequestAborted) ? [] : reach.Locations;
        Subscription[] subscriptions =
        [
            .. told.Select(location => new Subscription(
                DaprNames.LayerEvents, LayerTopics.Events(location), LayerTopics.EventPath(location.Region, location.Zone))),
            .. wishes.Subscriptions,
        ];
        await context.Response.WriteAsJsonAsync(
            subscriptions, SubscriptionJson.Default.SubscriptionArray, cancellationToken: context.RequestAborted);
    }

    /// <summary>
    /// Whether resources declare to the sidecar what it hears, and it follows their changes. Then it is told no location. An own subscription to the same
    /// topic would run beside a declared one that is changed, and one to a topic that the component's scopes do not allow would fail the component
    /// when it is made anew (dapr/dapr, pkg/runtime/processor/pubsub).
    /// </summary>
    private async Task<bool> IsDeclaredAsync(CancellationToken aborted)
    {
        using var budget = new CancellationTokenSource(SidecarBudget, time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, aborted);
        try
        {
            return (await sidecar.ReadAsync(linked.Token)).IsDeclared;
        }
        catch (Exception e) when (e is RpcException || (e is OperationCanceledException && !aborted.IsCancellationRequested))
        {
            Log.NotDeclared(logger, e.Message);
            return false;
        }
    }

    private async Task HandleAsync(HttpContext context)
    {
        if (!Location.TryParse($"{context.GetRouteValue("region")}/{context.GetRouteValue("zone")}", out var location))
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        var status = await BoundedBody.ReadAsync(context.Request, MostBytes) is { } body
            ? await AnswerAsync(body, location, context.RequestAborted)
            : Drop("unknown", "size", location);
        await context.Response.WriteAsJsonAsync(new EventAnswer(status), SubscriptionJson.Default.EventAnswer, cancellationToken: context.RequestAborted);
    }

    /// <summary>What Dapr is to do with a delivery: SUCCESS ends it, RETRY brings it back, DROP ends it as a bad one.</summary>
    internal async Task<string> AnswerAsync(ReadOnlyMemory<byte> body, Location location, CancellationToken aborted)
    {
        var started = time.GetTimestamp();
        if (!reach.Locations.Contains(location))
        {
            // The sidecar keeps the subscription to a location that has left until it starts again.
            return Drop("unknown", "reach", location);
        }

        if (!TryRead(body.Span, location, out var layerEvent, out var problem))
        {
            return Drop(layerEvent is null ? "unknown" : Kind(layerEvent), problem, location);
        }

        silence.Heard(layerEvent);
        var kind = Kind(layerEvent);
        using var budget = new CancellationTokenSource(ApplyBudget, time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, aborted);
        try
        {
            var outcome = await applier.ApplyAsync(layerEvent, linked.Token);
            metrics.Event(kind, outcome.ToString().ToLowerInvariant());
            metrics.EventDuration(time.GetElapsedTime(started), kind);
            return "SUCCESS";
        }
        catch (StoreUnavailableException e)
        {
            return Retry(kind, e.Message);
        }
        catch (OperationCanceledException) when (!aborted.IsCancellationRequested)
        {
            return Retry(kind, $"The event could not be applied within {ApplyBudget.TotalSeconds} s.");
        }
    }

    private static bool TryRead(
        ReadOnlySpan<byte> body,
        Location location,
        [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out LayerEvent? layerEvent,
        out string problem)
    {
        layerEvent = null;
        try
        {
            if (JsonSerializer.Deserialize(body, ContractsJson.Default.CloudEvent) is not { } envelope)
            {
                problem = "json";
                return false;
            }

            if (envelope.Topic != LayerTopics.Events(location))
            {
                problem = "topic";
                return false;
            }

            layerEvent = envelope.ToLayerEvent();
        }
        catch (JsonException)
        {
            problem = "json";
            return false;
        }

        problem = EventCheck.Problem(layerEvent, location) ?? "";
        return problem.Length == 0;
    }

    private static string Kind(LayerEvent layerEvent) => layerEvent switch
    {
        SnapshotEvent => "snapshot",
        DeltaEvent => "delta",
        HeartbeatEvent => "heartbeat",
        _ => "leaving",
    };

    private string Drop(string kind, string reason, Location location)
    {
        metrics.Event(kind, "dropped", reason);
        if (MayLog(reason))
        {
            Log.Dropped(logger, kind, LayerTopics.Events(location), reason);
        }

        return "DROP";
    }

    private string Retry(string kind, string reason)
    {
        metrics.Event(kind, "retried");
        if (MayLog("retry"))
        {
            Log.Retried(logger, kind, reason);
        }

        return "RETRY";
    }

    private bool MayLog(string about) => _throttles.GetOrAdd(about, _ => new LogThrottle(time)).IsOpen();

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "Dropped a bad event ({Kind}) on topic {Topic}: its {Reason} is not acceptable. More of the kind are only counted.")]
        public static partial void Dropped(ILogger logger, string kind, string topic, string reason);

        [LoggerMessage(LogLevel.Warning, "The cluster's nodes are not known after {Seconds} s: the sidecar subscribes to the locations that are configured.")]
        public static partial void NoNodes(ILogger logger, double seconds);

        [LoggerMessage(LogLevel.Warning, "What resources declare to the sidecar cannot be read; it is told all locations in reach: {Reason}")]
        public static partial void NotDeclared(ILogger logger, string reason);

        [LoggerMessage(LogLevel.Warning, "An event ({Kind}) will be delivered again: {Reason}")]
        public static partial void Retried(ILogger logger, string kind, string reason);
    }
}

/// <summary>A subscription as Dapr reads it from <c>/dapr/subscribe</c> (dapr/dapr, pkg/runtime/pubsub/subscriptions.go).</summary>
internal sealed record Subscription(string Pubsubname, string Topic, string Route);

/// <summary>An app's answer to a delivery (Dapr's documentation, reference/api/pubsub_api).</summary>
internal sealed record EventAnswer(string Status);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(Subscription[]))]
[JsonSerializable(typeof(EventAnswer))]
internal sealed partial class SubscriptionJson : JsonSerializerContext;
