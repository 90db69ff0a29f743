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
    /// Takes what the app has told, in the place of what it had, and starts all; those that cannot be started, as their scopes do not allow them or their
    /// broker is away, are reported and tried again.
    /// </summary>
    public Task StartAsync(IReadOnlyList<TopicRoute> told, CancellationToken cancellation) => GuardedAsync(
        async () =>
        {
            await StopAsync(_ => true);
            _told = told;
            foreach (var named in Routes)
            {
                try
                {
                    await StartAsync(named, cancellation);
                }
                catch (LocalDaprException e)
                {
                    Log.Failed(logger, e.Message);
                    Add(named, new RetriedSubscription(again => SubscribeAsync(named.Route, again), time));
                }
            }
        },
        cancellation);

    /// <summary>Sets the retry policies of the subscriptions that are started from now on.</summary>
    public void SetRetries(IReadOnlyDictionary<string, RetryPolicy> retries) => _retries = retries;

    /// <summary>Adds a declarative subscription, in the place of one of the same name. It is started when the app is there and the scopes allow it.</summary>
    /// <exception cref="LocalDaprException">It cannot be started, and has not been added.</exception>
    public Task DeclareAsync(DeclaredSubscription declared, CancellationToken cancellation) => GuardedAsync(
        async () =>
        {
            _declared = _declared.RemoveAll(other => other.Name == declared.Name).Add(declared);
            await StopAsync(running => running.Name == declared.Name);
            if (_told is not null && components.PubSubs.TryGetValue(declared.Route.PubSubName, out var pubSub) && pubSub.Scopes.MaySubscribe(declared.Route.Topic))
            {
                try
                {
                    await StartAsync(new NamedRoute(declared.Name, declared.Route), cancellation);
                }
                catch (LocalDaprException)
                {
                    _declared = _declared.RemoveAll(other => other.Name == declared.Name);
                    throw;
                }
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

    /// <summary>
    /// Ends all subscriptions to a component, has the component changed, and starts them on what it has become. When one cannot be started the component is
    /// removed, also for a topic without which <see cref="StartAsync(IReadOnlyList{TopicRoute}, CancellationToken)"/> goes on
    /// (dapr/pkg/runtime/processor/pubsub). Where daprd lets those run that it could start, on a component that it no longer knows, they end here.
    /// </summary>
    /// <exception cref="LocalDaprException">A subscription cannot be started.</exception>
    public Task ReloadAsync(string pubSubName, Func<Task> change, CancellationToken cancellation) => GuardedAsync(
        async () =>
        {
            await StopAsync(running => running.PubSubName == pubSubName);
            await change();
            try
            {
                foreach (var named in Routes.Where(named => _told is not null && named.Route.PubSubName == pubSubName && components.PubSubs.ContainsKey(pubSubName)))
                {
                    await StartAsync(named, cancellation);
                }
            }
            catch (LocalDaprException)
            {
                await StopAsync(running => running.PubSubName == pubSubName);
                await components.RemoveAsync(pubSubName);
                throw;
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

    private async Task StartAsync(NamedRoute named, CancellationToken cancellation) => Add(named, await SubscribeAsync(named.Route, cancellation));

    private void Add(NamedRoute named, IAsyncDisposable subscription) => _running.Add(new Running(named.Name, named.Route.PubSubName, subscription));

    /// <summary>Subscribes to a topic.</summary>
    /// <exception cref="LocalDaprException">There is no such component, its scopes do not allow the topic, or its broker does not answer.</exception>
    private async Task<IAsyncDisposable> SubscribeAsync(TopicRoute route, CancellationToken cancellation)
    {
        var about = $"App {app.AppId} cannot be subscribed to topic {route.Topic} of {route.PubSubName}";
        if (!components.PubSubs.TryGetValue(route.PubSubName, out var pubSub))
        {
            throw new LocalDaprException($"{about}, which is no pub/sub component that it may use.");
        }

        if (!pubSub.Scopes.MaySubscribe(route.Topic))
        {
            throw new LocalDaprException($"{about}, which the component's scopes do not allow.");
        }

        var subscription = new TopicSubscription(route, _retries.GetValueOrDefault(route.PubSubName), channel, publisher, faults, time, logger);
        try
        {
            var running = await pubSub.Component.SubscribeAsync(route.Topic, subscription.HandleAsync, cancellation);
            Log.Subscribed(logger, app.AppId, route.Topic, route.PubSubName, route.Path);
            return running;
        }
        catch (Exception e) when (BackendError.Is(e))
        {
            throw new LocalDaprException($"{about}: {e.Message}", e);
        }
    }

    private sealed record Running(string? Name, string PubSubName, IAsyncDisposable Subscription);

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Information, Message = "App {App} subscribes to topic {Topic} of {PubSub} at {Path}.")]
        public static partial void Subscribed(ILogger logger, string app, string topic, string pubSub, string path);

        [LoggerMessage(Level = LogLevel.Error, Message = "A subscription that cannot be started is tried again: {Reason}")]
        public static partial void Failed(ILogger logger, string reason);
    }
}
