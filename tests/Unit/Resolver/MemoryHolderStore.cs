using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Unit.Resolver;

/// <summary>
/// A store as Dapr's are: every document has its own ETag, a bulk write is as many independent writes, and its failure does not say which of them
/// failed. Outages and failures can be injected.
/// </summary>
internal sealed class MemoryHolderStore(TimeProvider time) : IHolderStore
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, (byte[] Value, string ETag, DateTimeOffset ExpiresAt)> _documents = [];
    private long _version;

    /// <summary>While true, nothing is answered.</summary>
    public bool IsDown { get; set; }

    /// <summary>The part of single writes that fail although nobody came first, from 0 to 1. Half of them have been written nevertheless.</summary>
    public double FailureRate { get; set; }

    /// <summary>How long it takes to answer.</summary>
    public TimeSpan Latency { get; set; }

    /// <summary>How many reads have been asked for.</summary>
    public int Reads { get; private set; }

    /// <summary>How many single documents have been written.</summary>
    public int Writes { get; private set; }

    /// <summary>How many documents there are.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _documents.Count;
            }
        }
    }

    public async Task<IReadOnlyList<StoredDocument>> GetAsync(IReadOnlyList<string> keys, CancellationToken cancellation)
    {
        await AnswerAsync(cancellation);
        lock (_lock)
        {
            Reads++;
            ThrowIfDown();
            return [.. keys.Select(key => Find(key) is { } found ? new StoredDocument(key, found.Value, found.ETag) : new StoredDocument(key, null, null))];
        }
    }

    public async Task<bool> TrySaveAsync(IReadOnlyList<DocumentWrite> writes, CancellationToken cancellation)
    {
        await AnswerAsync(cancellation);
        var all = true;
        foreach (var write in writes)
        {
            lock (_lock)
            {
                ThrowIfDown();
                var fails = Random.Shared.NextDouble() < FailureRate;
                if (Find(write.Key)?.ETag == write.ETag && (!fails || Random.Shared.Next(2) == 0))
                {
                    Writes++;
                    _documents[write.Key] = (write.Value.ToArray(), $"{++_version}", time.GetUtcNow() + write.TimeToLive);
                }
                else
                {
                    all = false;
                }

                all &= !fails;
            }
        }

        return all;
    }

    /// <summary>Loses the documents whose key begins so.</summary>
    public void Lose(string prefix)
    {
        lock (_lock)
        {
            foreach (var key in _documents.Keys.Where(key => key.StartsWith(prefix, StringComparison.Ordinal)).ToList())
            {
                _documents.Remove(key);
            }
        }
    }

    /// <summary>The JSON of a document; null when there is none.</summary>
    public string? Text(string key)
    {
        lock (_lock)
        {
            return Find(key) is { } found ? System.Text.Encoding.UTF8.GetString(found.Value) : null;
        }
    }

    private (byte[] Value, string ETag)? Find(string key) =>
        _documents.TryGetValue(key, out var found) && time.GetUtcNow() < found.ExpiresAt ? (found.Value, found.ETag) : null;

    private async Task AnswerAsync(CancellationToken cancellation)
    {
        // As over the network, others get between a read and the write that follows it.
        await Task.Yield();
        await Task.Delay(Latency, time, cancellation);
    }

    private void ThrowIfDown()
    {
        if (IsDown)
        {
            throw new StoreUnavailableException("The store is down.");
        }
    }
}
