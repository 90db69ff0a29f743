using System.Collections.Concurrent;
using System.Collections.Immutable;
using SpegelDapr.LocalDapr.PubSub;
using SpegelDapr.LocalDapr.State;

namespace SpegelDapr.LocalDapr.Components;

/// <summary>The components of one sidecar. They may change while it runs.</summary>
internal sealed partial class ComponentSet : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, ScopedPubSub> _pubSubs = [];
    private readonly ConcurrentDictionary<string, PrefixedStateStore> _stateStores = [];
    private readonly AppSpec _app;
    private readonly ComponentTypes _types;
    private volatile ImmutableList<LoadedComponent> _loaded = [];

    private ComponentSet(AppSpec app, ComponentTypes types) => (_app, _types) = (app, types);

    /// <summary>All, in the order in which they were loaded.</summary>
    public IReadOnlyList<LoadedComponent> All => _loaded;

    public IReadOnlyDictionary<string, ScopedPubSub> PubSubs => _pubSubs;

    public IReadOnlyDictionary<string, PrefixedStateStore> StateStores => _stateStores;

    /// <summary>Creates the components whose scopes admit the app.</summary>
    /// <exception cref="LocalDaprException">One fails and does not ignore errors.</exception>
    public static async Task<ComponentSet> LoadAsync(
        AppSpec app, IEnumerable<Component> components, ComponentTypes types, ILogger logger, CancellationToken cancellation)
    {
        var set = new ComponentSet(app, types);
        try
        {
            foreach (var component in components.Where(component => component.Scopes.Count == 0 || component.Scopes.Contains(app.AppId)))
            {
                try
                {
                    await set.AddAsync(component, cancellation);
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

    /// <summary>Creates a component.</summary>
    /// <exception cref="LocalDaprException">It fails.</exception>
    public async Task AddAsync(Component component, CancellationToken cancellation)
    {
        if (_loaded.Exists(loaded => loaded.Component.Name == component.Name))
        {
            throw new LocalDaprException($"There are two components named {component.Name}: give each a name of its own.");
        }

        _types.Check(component);
        var settings = new ComponentSettings(component, _app);
        if (_types.IsPubSub(component))
        {
            var pubSub = await _types.CreatePubSubAsync(settings, cancellation);
            _pubSubs[component.Name] = new ScopedPubSub(component.Name, pubSub, new TopicScopes(settings));
            _loaded = _loaded.Add(new LoadedComponent(component, pubSub.Capabilities));
        }
        else
        {
            var store = await _types.CreateStateStoreAsync(settings, cancellation);
            _stateStores[component.Name] = new PrefixedStateStore(component.Name, store, new KeyPrefix(settings, _app));
            _loaded = _loaded.Add(new LoadedComponent(component, store.Capabilities));
        }
    }

    /// <summary>Ends a component, if there is one of the name. What runs on it must have ended.</summary>
    public async Task RemoveAsync(string name)
    {
        _loaded = _loaded.RemoveAll(loaded => loaded.Component.Name == name);
        if (_pubSubs.TryRemove(name, out var pubSub))
        {
            await pubSub.Component.DisposeAsync();
        }

        if (_stateStores.TryRemove(name, out var store))
        {
            await store.Component.DisposeAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var name in _pubSubs.Keys.Concat(_stateStores.Keys))
        {
            await RemoveAsync(name);
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
