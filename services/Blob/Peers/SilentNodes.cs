using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>
/// Nodes that took connections and then said nothing are not asked for half a minute: an image has many layers, and each would wait for them
/// anew until the budget ends.
/// </summary>
internal sealed class SilentNodes(IOptions<BlobOptions> options) : IDisposable
{
    private const int MostRemembered = 10_000;
    private static readonly TimeSpan Lasts = TimeSpan.FromSeconds(30);

    private readonly MemoryCache _silent = new(new MemoryCacheOptions { SizeLimit = MostRemembered });

    /// <summary>Is told of a node that has not answered, and for how long it was waited for.</summary>
    public void Waited(NodeName node, TimeSpan time)
    {
        // Shorter waits end for other reasons: the client is gone, or another answered.
        if (time >= options.Value.PeerStartBudget / 2)
        {
            _silent.Set(node, true, new MemoryCacheEntryOptions { Size = 1, AbsoluteExpirationRelativeToNow = Lasts });
        }
    }

    /// <summary>Whether a node counts as silent.</summary>
    public bool Contains(NodeName node) => _silent.TryGetValue(node, out _);

    /// <inheritdoc/>
    public void Dispose() => _silent.Dispose();
}
