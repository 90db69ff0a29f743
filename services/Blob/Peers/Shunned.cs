using Microsoft.Extensions.Caching.Memory;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>Holders that sent corrupt content are not asked for it again for an hour.</summary>
internal sealed class Shunned(BlobMetrics metrics) : IDisposable
{
    private const int MostRemembered = 10_000;
    private static readonly TimeSpan Lasts = TimeSpan.FromHours(1);

    private readonly MemoryCache _shunned = new(new MemoryCacheOptions { SizeLimit = MostRemembered });

    /// <summary>Stops asking the node for this content.</summary>
    public void Add(NodeName node, Digest digest)
    {
        _shunned.Set((node, digest), true, new MemoryCacheEntryOptions { Size = 1, AbsoluteExpirationRelativeToNow = Lasts });
        metrics.Shunned();
    }

    /// <summary>Whether the node must not be asked for this content.</summary>
    public bool Contains(NodeName node, Digest digest) => _shunned.TryGetValue((node, digest), out _);

    /// <inheritdoc/>
    public void Dispose() => _shunned.Dispose();
}
