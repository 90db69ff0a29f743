using System.Collections.Immutable;
using SpegelDapr.LocalDapr.Components;
using SpegelDapr.LocalDapr.Invocation;
using SpegelDapr.LocalDapr.Resources;

namespace SpegelDapr.LocalDapr.PubSub;

/// <summary>
/// The subscriptions of an app: those that it has told, and those that resources declare. Of two to one topic Dapr starts the app's, but one that is
/// declared or changed later runs beside it until the component is made anew (dapr/pkg/runtime/processor/subscriber, compstore/subscriptions.go).
/// </summary>
internal sealed partial class SubscriptionSet(
    AppSpec app,
    ComponentSet components,
    AppChannel channel,
    Publisher publisher,
    DeliveryFaults? faults,
    TimeProvider time,
    ILogger<SubscriptionSet> logger) : IAsyncDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private readonly List<Running> _running = [];
    private volatile ImmutableList<DeclaredSubscription> _declared = [];
    private volatile IReadOnlyList<TopicRoute>? _told;
    private volatile IReadOnlyDictionary<string, RetryPolicy> _retries = new Dictionary<string, RetryPolicy>();

    /// <summary>
    /// What the app is subscribed to, whether or not its scopes allow that, as in Dapr's metadata; of the app's own none before it has told them.
    /// </summary>
    public IReadOnlyList<NamedRoute> Routes
    {
        get
        {
            var routes = _declared.Select(declared => new NamedRoute(declared.Name, declared.Route)).DistinctBy(Topic).ToList();
            foreach (var told in (_told ?? []).Select(route => new NamedRoute(null, route)))
            {
                if (routes.FindIndex(route => Topic(route) == Topic(told)) is var at and >= 0)
                {
                    routes[at] = told;
                }
                else
                {
                    routes.Add(told);
                }
            }

            return routes;
        }
    }

    /// <summary>The declarative subscriptions.</summary>
    public IReadOnlyList<DeclaredSubscription> Declared => _declared;

    /// <summary>The retry policies of deliveries, by the component's name.</summary>
    public IReadOnlyDictionary<string, RetryPolicy> Retries => _retries;

    /// <summary>
    /// Takes what the app has told, in the place of what it had, and starts all that the scopes allow; the others are reported, and the app goes
    /// without, as with daprd.
    /// </summary>
    public Task StartAsync(IReadOnlyList<TopicRoute> told, CancellationToken cancellation) => GuardedAsync(
        async () =>
        {
            await StopAsync(_ => true);
            _told = told;
            foreach (var route in Routes)
            {
                await StartAsync(route, cancellation);
            }
        },
        cancellation);

    /// <summary>Sets the retry policies of the subscriptions that are started from now on.</summary>
    public void SetRetries(IReadOnlyDictionary<string, RetryPolicy> retries) => _retries = retries;

    /// <summary>Adds a declarative subscription, in the place of one of the same name. It is started when the app is there and the scopes allow it.</summary>
    public Task DeclareAsync(DeclaredSubscription declared, CancellationToken cancellation) => GuardedAsync(
        async () =>
        {
            _declared = _declared.RemoveAll(other => other.Name == declared.Name).Add(declared);
            await StopAsync(running => running.Name == declared.Name);
            if (_told is not null && components.PubSubs.TryGetValue(declared.Route.PubSubName, out var pubSub) && pubSub.Scopes.MaySubscribe(declared.Route.Topic))
            {
                await StartAsync(new NamedRoute(declared.Name, declared.Route), cancellation);
            }
        },
        cancellation);

    /// <summary>Ends a declarative subscription.</summary>
    public Task WithdrawAsync(string name, CancellationToken cancellation) => GuardedAsync(
        async () =>
        {
            _declared = _declared.RemoveAll(other => other.Name == name);
            await StopAsync(running => running.Name == name);
        },
        cancellation);

    /// <summary>Ends all subscriptions to a component, has the component changed, and starts them on what it has become.</summary>
    public Task ReloadAsync(string pubSubName, Func<Task> change, CancellationToken cancellation) => GuardedAsync(
        async () =>
        {
            await StopAsync(running => running.PubSubName == pubSubName);
            await change();
            foreach (var route in Routes.Where(route => _told is not null && route.Route.PubSubName == pubSubName && components.PubSubs.ContainsKey(pubSubName)))
            {
                await StartAsync(route, cancellation);
            }
        },
        cancellation);

    /// <summary>Ends all deliveries, which the metadata do not tell.</summary>
    public Task LoseAsync() => GuardedAsync(() => StopAsync(_ => true), CancellationToken.None);

    public async ValueTask DisposeAsync()
    {
        await StopAsync(_ => true);
        _gate.Dispose();
    }

    private static (string, string) Topic(NamedRoute route) => (route.Route.PubSubName, route.Route.Topic);

    private async Task GuardedAsync(Func<Task> act, CancellationToken cancellation)
    {
        await _gate.WaitAsync(cancellation);
        try
        {
            await act();
        }
        finally
        {
            _gate.Release();
        }
    }

    private async Task StopAsync(Predicate<Running> which)
    {
        var ending = _running.FindAll(which);
        _running.RemoveAll(which);
        await Task.WhenAll(ending.Select(running => running.Subscription.DisposeAsync().AsTask()));
    }

    private async Task StartAsync(NamedRoute named, CancellationToken cancellation)
    {
        var route = named.Route;
        if (!components.PubSubs.TryGetValue(route.PubSubName, out var pubSub))
        {
            Log.NoPubSub(logger, app.AppId, route.Topic, route.PubSubName);
            return;
        }

        if (!pubSub.Scopes.MaySubscribe(route.Topic))
        {
            Log.NotAllowed(logger, app.AppId, route.Topic, route.PubSubName);
            return;
        }

        var subscription = new TopicSubscription(route, _retries.GetValueOrDefault(route.PubSubName), channel, publisher, faults, time, logger);
        try
        {
            var running = await pubSub.Component.SubscribeAsync(route.Topic, subscription.HandleAsync, cancellation);
            _running.Add(new Running(named.Name, route.PubSubName, running));
            Log.Subscribed(logger, app.AppId, route.Topic, route.PubSubName, route.Path);
        }
        catch (Exception e) when (BackendError.Is(e))
        {
            Log.Failed(logger, app.AppId, route.Topic, route.PubSubName, e.Message);
        }
    }

    private sealed record Running(string? Name, string PubSubName, IAsyncDisposable Subscription);

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
