using System.Text.Json;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Events;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Resolver.Hearing;

/// <summary>Hears the wishes of other zones' resolvers, and marks the leases of the nodes they name, so that these are told when they next ask.</summary>
internal sealed partial class WishEndpoint(
    LeaseBook leases,
    IOptions<ResolverOptions> options,
    IOptions<ZoneOptions> zones,
    TimeProvider time,
    ILogger<WishEndpoint> logger)
{
    private const string Route = "/v1/wishes";
    private const int MostBytes = 16 * 1024;

    private readonly LogThrottle _throttle = new(time);
    private readonly string _topic = LayerTopics.Wishes(options.Value.Location);

    /// <summary>What to subscribe to: nothing where no other zone may hear this one's nodes.</summary>
    public IReadOnlyList<Subscription> Subscriptions =>
        zones.Value.ParsedFarthestTier > Tier.SameZone ? [new Subscription(DaprNames.LayerEvents, _topic, Route)] : [];

    /// <summary>Maps the route of deliveries.</summary>
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapPost(Route, HandleAsync);

    /// <summary>What Dapr is to do with a delivery, as <see cref="EventEndpoint.AnswerAsync"/>.</summary>
    internal async Task<string> AnswerAsync(ReadOnlyMemory<byte> body, CancellationToken cancellation)
    {
        try
        {
            var envelope = JsonSerializer.Deserialize(body.Span, ContractsJson.Default.CloudEvent);
            if (envelope?.Topic != _topic)
            {
                return Drop("it is on another topic");
            }

            await MarkAsync(envelope.ToSnapshotWish(), cancellation);
            return "SUCCESS";
        }
        catch (JsonException e)
        {
            return Drop(e.Message);
        }
        catch (StoreUnavailableException e)
        {
            Log.Retried(logger, e.Message);
            return "RETRY";
        }
    }

    private async Task HandleAsync(HttpContext context)
    {
        var status = await BoundedBody.ReadAsync(context.Request, MostBytes) is { } body
            ? await AnswerAsync(body, context.RequestAborted)
            : Drop("it is too large");
        await context.Response.WriteAsJsonAsync(new EventAnswer(status), SubscriptionJson.Default.EventAnswer, cancellationToken: context.RequestAborted);
    }

    private async Task MarkAsync(SnapshotWish wish, CancellationToken cancellation)
    {
        var location = options.Value.Location;
        if (await leases.FindAsync(location, wish.Node, cancellation) is { } found && found.NeedsWish(wish))
        {
            await leases.UpdateAsync(
                location, wish.Node, lease => (lease ?? found) is var now && now.NeedsWish(wish) ? now with { IsWanted = true } : now, cancellation);
        }
    }

    private string Drop(string reason)
    {
        if (_throttle.IsOpen())
        {
            Log.Dropped(logger, reason);
        }

        return "DROP";
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "Dropped a bad wish for a snapshot: {Reason}")]
        public static partial void Dropped(ILogger logger, string reason);

        [LoggerMessage(LogLevel.Warning, "A wish for a snapshot will be delivered again: {Reason}")]
        public static partial void Retried(ILogger logger, string reason);
    }
}
