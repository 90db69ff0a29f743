using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Simulation;

/// <summary>The state store of the zone, in memory; a write takes its time, and so others come together meanwhile.</summary>
internal sealed class ZoneStore(TimeProvider time, TimeSpan writeTakes) : IHolderStore
{
    private readonly Dictionary<string, (byte[] Value, string ETag)> _documents = [];
    private long _version;

    /// <summary>How many documents have been written that are no leases.</summary>
    public int Writes { get; private set; }

    /// <summary>The largest of these, in bytes.</summary>
    public int Largest { get; private set; }

    /// <summary>Writes a document at once, and does not count it.</summary>
    public void Put(DocumentWrite write) => _documents[write.Key] = (write.Value.ToArray(), $"{++_version}");

    /// <inheritdoc/>
    public Task<IReadOnlyList<StoredDocument>> GetAsync(IReadOnlyList<string> keys, CancellationToken cancellation) =>
        Task.FromResult<IReadOnlyList<StoredDocument>>([.. keys.Select(key => _documents.TryGetValue(key, out var found)
            ? new StoredDocument(key, found.Value, found.ETag)
            : new StoredDocument(key, null, null))]);

    /// <inheritdoc/>
    public async Task<bool> TrySaveAsync(IReadOnlyList<DocumentWrite> writes, CancellationToken cancellation)
    {
        await Task.Delay(writeTakes, time, cancellation);
        var all = true;
        foreach (var write in writes)
        {
            if (_documents.GetValueOrDefault(write.Key).ETag != write.ETag)
            {
                all = false;
                continue;
            }

            Put(write);
            Writes++;
            Largest = Math.Max(Largest, write.Value.Length);
        }

        return all;
    }
}
