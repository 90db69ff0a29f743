using SpegelDapr.LocalDapr.Components.InMemory;
using SpegelDapr.LocalDapr.Components.RabbitMq;
using SpegelDapr.LocalDapr.Components.Redis;

namespace SpegelDapr.LocalDapr.Components;

/// <summary>The component types there are. A new backend is one more line here.</summary>
internal sealed class ComponentTypes(InMemoryBackends memory, TimeProvider time, ILoggerFactory loggers)
{
    private readonly Dictionary<string, Func<ComponentSettings, CancellationToken, Task<IPubSub>>> _pubSubs = new()
    {
        ["pubsub.in-memory"] = (settings, _) => Task.FromResult<IPubSub>(new InMemoryPubSub(memory.Broker(settings.Component.Name), settings.ConsumerId)),
        ["pubsub.rabbitmq"] = async (settings, cancellation) => await RabbitMqPubSub.ConnectAsync(settings, time, loggers, cancellation),
        ["pubsub.redis"] = async (settings, cancellation) => await RedisPubSub.ConnectAsync(settings, time, loggers, cancellation),
    };

    private readonly Dictionary<string, Func<ComponentSettings, CancellationToken, Task<IStateStore>>> _stateStores = new()
    {
        ["state.in-memory"] = (settings, _) => Task.FromResult<IStateStore>(memory.StateStore(settings.Component.Name)),
        ["state.redis"] = async (settings, cancellation) => await RedisStateStore.ConnectAsync(settings, cancellation),
    };

    public bool IsPubSub(Component component) => _pubSubs.ContainsKey(component.Type);

    /// <exception cref="LocalDaprException">The type or its version is not known.</exception>
    public void Check(Component component)
    {
        if (!IsPubSub(component) && !_stateStores.ContainsKey(component.Type))
        {
            throw new LocalDaprException(
                $"Component {component.Name}: LocalDapr does not know the type '{component.Type}'; it knows {string.Join(", ", _pubSubs.Keys.Concat(_stateStores.Keys))}.");
        }

        if (component.Version != "v1")
        {
            throw new LocalDaprException($"Component {component.Name}: there is no version '{component.Version}' of {component.Type}; give v1.");
        }
    }

    public Task<IPubSub> CreatePubSubAsync(ComponentSettings settings, CancellationToken cancellation) =>
        _pubSubs[settings.Component.Type](settings, cancellation);

    public Task<IStateStore> CreateStateStoreAsync(ComponentSettings settings, CancellationToken cancellation) =>
        _stateStores[settings.Component.Type](settings, cancellation);
}
