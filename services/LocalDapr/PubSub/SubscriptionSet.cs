using SpegelDapr.LocalDapr.Components;
using SpegelDapr.LocalDapr.Invocation;
using SpegelDapr.LocalDapr.Resources;

namespace SpegelDapr.LocalDapr.PubSub;

/// <summary>The running subscriptions of an app.</summary>
internal sealed partial class SubscriptionSet(
    AppSpec app,
    ComponentSet components,
    IReadOnlyDictionary<string, RetryPolicy> retries,
    AppChannel channel,
    Publisher publisher,
    DeliveryFaults? faults,
    TimeProvider time,
    ILogger<SubscriptionSet> logger) : IAsyncDisposable
{
    private readonly List<IAsyncDisposable> _running = [];
    private volatile IReadOnlyList<TopicRoute> _routes = [];

    /// <summary>
    /// What the app has told it subscribes to, whether or not its scopes allow that, as in Dapr's metadata
    /// (dapr/pkg/runtime/compstore/subscriptions.go); none before it has.
    /// </summary>
    public IReadOnlyList<TopicRoute> Routes => _routes;

    /// <summary>Starts those that the scopes allow; the others are reported, and the app goes without, as with daprd.</summary>
    public async Task StartAsync(IReadOnlyList<TopicRoute> routes, CancellationToken cancellation)
    {
        _routes = routes;
        foreach (var route in routes)
        {
            if (!components.PubSubs.TryGetValue(route.PubSubName, out var pubSub))
            {
                Log.NoPubSub(logger, app.AppId, route.Topic, route.PubSubName);
            }
            else if (!pubSub.Scopes.MaySubscribe(route.Topic))
            {
                Log.NotAllowed(logger, app.AppId, route.Topic, route.PubSubName);
            }
            else
            {
                var subscription = new TopicSubscription(
                    route, retries.GetValueOrDefault(route.PubSubName), channel, publisher, faults, time, logger);
                await StartAsync(pubSub, route, subscription, cancellation);
            }
        }
    }

    public async ValueTask DisposeAsync() => await Task.WhenAll(_running.Select(running => running.DisposeAsync().AsTask()));

    private async Task StartAsync(ScopedPubSub pubSub, TopicRoute route, TopicSubscription subscription, CancellationToken cancellation)
    {
        try
        {
            _running.Add(await pubSub.Component.SubscribeAsync(route.Topic, subscription.HandleAsync, cancellation));
            Log.Subscribed(logger, app.AppId, route.Topic, route.PubSubName, route.Path);
        }
        catch (Exception e) when (BackendError.Is(e))
        {
            Log.Failed(logger, app.AppId, route.Topic, route.PubSubName, e.Message);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Information, Message = "App {App} subscribes to topic {Topic} of {PubSub} at {Path}.")]
        public static partial void Subscribed(ILogger logger, string app, string topic, string pubSub, string path);

        [LoggerMessage(Level = LogLevel.Error, Message = "App {App} subscribes to topic {Topic} of {PubSub}, which is no pub/sub component that it may use.")]
        public static partial void NoPubSub(ILogger logger, string app, string topic, string pubSub);

        [LoggerMessage(Level = LogLevel.Error, Message = "App {App} subscribes to topic {Topic} of {PubSub}, which the component's scopes do not allow.")]
        public static partial void NotAllowed(ILogger logger, string app, string topic, string pubSub);

        [LoggerMessage(Level = LogLevel.Error, Message = "App {App} could not be subscribed to topic {Topic} of {PubSub}: {Reason}")]
        public static partial void Failed(ILogger logger, string app, string topic, string pubSub, string reason);
    }
}
