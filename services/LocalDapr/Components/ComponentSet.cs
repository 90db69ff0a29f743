using SpegelDapr.LocalDapr.PubSub;
using SpegelDapr.LocalDapr.State;

namespace SpegelDapr.LocalDapr.Components;

/// <summary>The components of one sidecar.</summary>
internal sealed partial class ComponentSet : IAsyncDisposable
{
    private readonly Dictionary<string, ScopedPubSub> _pubSubs = [];
    private readonly Dictionary<string, PrefixedStateStore> _stateStores = [];
    private readonly List<LoadedComponent> _loaded = [];

    private ComponentSet()
    {
    }

    /// <summary>All, in the order in which they were loaded.</summary>
    public IReadOnlyList<LoadedComponent> All => _loaded;

    public IReadOnlyDictionary<string, ScopedPubSub> PubSubs => _pubSubs;

    public IReadOnlyDictionary<string, PrefixedStateStore> StateStores => _stateStores;

    /// <summary>Creates the components whose scopes admit the app.</summary>
    /// <exception cref="LocalDaprException">One fails and does not ignore errors.</exception>
    public static async Task<ComponentSet> LoadAsync(
        AppSpec app, IEnumerable<Component> components, ComponentTypes types, ILogger logger, CancellationToken cancellation)
    {
        var set = new ComponentSet();
        try
        {
            foreach (var component in components.Where(component => component.Scopes.Count == 0 || component.Scopes.Contains(app.AppId)))
            {
                try
                {
                    await set.AddAsync(component, app, types, cancellation);
                }
                catch (LocalDaprException e) when (component.IgnoreErrors)
                {
                    Log.Ignored(logger, component.Name, e.Message);
                }
            }
        }
        catch
        {
            await set.DisposeAsync();
            throw;
        }

        return set;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var pubSub in _pubSubs.Values)
        {
            await pubSub.Component.DisposeAsync();
        }

        foreach (var store in _stateStores.Values)
        {
            await store.Component.DisposeAsync();
        }
    }

    private async Task AddAsync(Component component, AppSpec app, ComponentTypes types, CancellationToken cancellation)
    {
        if (_loaded.Exists(loaded => loaded.Component.Name == component.Name))
        {
            throw new LocalDaprException($"There are two components named {component.Name}: give each a name of its own.");
        }

        types.Check(component);
        var settings = new ComponentSettings(component, app);
        if (types.IsPubSub(component))
        {
            var pubSub = await types.CreatePubSubAsync(settings, cancellation);
            _pubSubs.Add(component.Name, new ScopedPubSub(component.Name, pubSub, new TopicScopes(settings)));
            _loaded.Add(new LoadedComponent(component, pubSub.Capabilities));
        }
        else
        {
            var store = await types.CreateStateStoreAsync(settings, cancellation);
            _stateStores.Add(component.Name, new PrefixedStateStore(component.Name, store, new KeyPrefix(settings, app)));
            _loaded.Add(new LoadedComponent(component, store.Capabilities));
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "Component {Component} is left out, as its ignoreErrors says: {Reason}")]
        public static partial void Ignored(ILogger logger, string component, string reason);
    }
}

/// <summary>A component and what it can do.</summary>
internal sealed record LoadedComponent(Component Component, IReadOnlyList<string> Capabilities);

/// <summary>A pub/sub component and the topics that the app may use.</summary>
internal sealed record ScopedPubSub(string Name, IPubSub Component, TopicScopes Scopes);

/// <summary>A state store and the prefix of the app's keys in it.</summary>
internal sealed record PrefixedStateStore(string Name, IStateStore Component, KeyPrefix Prefix);
