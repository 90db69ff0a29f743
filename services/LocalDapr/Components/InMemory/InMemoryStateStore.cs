using System.Globalization;

namespace SpegelDapr.LocalDapr.Components.InMemory;

/// <summary>A state store in memory, with the rules of components-contrib's <c>state/in-memory</c>.</summary>
internal sealed class InMemoryStateStore(TimeProvider time) : IStateStore
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Item> _items = [];

    public IReadOnlyList<string> Capabilities { get; } = ["ETAG", "TRANSACTIONAL", "TTL", "DELETE_WITH_PREFIX", "KEYS_LIKE", "ACTOR"];

    public Task<StateEntry?> GetAsync(string key, CancellationToken cancellation)
    {
        lock (_lock)
        {
            return Task.FromResult(Find(key) is { } item ? new StateEntry(item.Data, item.ETag, Metadata(item)) : null);
        }
    }

    public Task ChangeAsync(StateChange change, CancellationToken cancellation) => TransactAsync([change], cancellation);

    public Task TransactAsync(IReadOnlyList<StateChange> changes, CancellationToken cancellation)
    {
        lock (_lock)
        {
            foreach (var change in changes)
            {
                Check(change);
            }

            foreach (var change in changes)
            {
                Apply(change);
            }
        }

        return Task.CompletedTask;
    }

    /// <summary>The content is the host's and outlives a sidecar.</summary>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static Dictionary<string, string> Metadata(Item item) => item.Expiry is { } expiry
        ? new() { ["ttlExpireTime"] = expiry.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture) }
        : [];

    private Item? Find(string key)
    {
        if (!_items.TryGetValue(key, out var item))
        {
            return null;
        }

        if (item.Expiry < time.GetUtcNow())
        {
            _items.Remove(key);
            return null;
        }

        return item;
    }

    private void Check(StateChange change)
    {
        var item = Find(change.Key);
        if (change.HasETag)
        {
            if (item is null)
            {
                throw new ETagException($"state not exist or expired for key={change.Key}");
            }

            if (item.ETag != change.ETag)
            {
                throw new ETagException($"state etag not match for key={change.Key}: current={item.ETag}, expect={change.ETag}");
            }
        }
        else if (change.Concurrency == StateChange.FirstWrite && item is not null)
        {
            throw new ETagException("item already exists and no etag was passed");
        }
    }

    private void Apply(StateChange change)
    {
        if (change.Value is null)
        {
            _items.Remove(change.Key);
            return;
        }

        DateTimeOffset? expiry = change.TtlInSeconds is > 0 and { } ttl ? time.GetUtcNow().AddSeconds(ttl) : null;
        _items[change.Key] = new Item(change.Value, Guid.NewGuid().ToString(), expiry);
    }

    private sealed record Item(byte[] Data, string ETag, DateTimeOffset? Expiry);
}
