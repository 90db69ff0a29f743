using System.Collections.Concurrent;

namespace SpegelDapr.LocalDapr.Components.InMemory;

/// <summary>
/// The in-memory brokers and stores of a host, by component name. All apps of the host share them; Dapr's own in-memory components live
/// in one sidecar and are seen by its app alone, as are ours when each sidecar is a process of its own.
/// </summary>
internal sealed class InMemoryBackends(TimeProvider time)
{
    private readonly ConcurrentDictionary<string, InMemoryBroker> _brokers = new();
    private readonly ConcurrentDictionary<string, InMemoryStateStore> _stores = new();

    public InMemoryBroker Broker(string name) => _brokers.GetOrAdd(name, _ => new InMemoryBroker(time));

    public InMemoryStateStore StateStore(string name) => _stores.GetOrAdd(name, _ => new InMemoryStateStore(time));
}
