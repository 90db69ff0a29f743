using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Internal;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>
/// Which peers are not asked for now. One that sent corrupt content is not asked for that content for an hour. One that took a connection and then said
/// nothing is asked for nothing for half a minute: an image has many layers, and each would wait for it anew until the budget ends.
/// </summary>
internal sealed class PeerHealth(IOptions<BlobOptions> options, BlobMetrics metrics, TimeProvider time) : IDisposable
{
    private const int MostRemembered = 10_000;
    private static readonly TimeSpan ShunnedFor = TimeSpan.FromHours(1);
    private static readonly TimeSpan SilentFor = TimeSpan.FromSeconds(30);

    private readonly MemoryCache _shunned = new(new MemoryCacheOptions { SizeLimit = MostRemembered, Clock = new Clock(time) });
    private readonly MemoryCache _silent = new(new MemoryCacheOptions { SizeLimit = MostRemembered, Clock = new Clock(time) });

    /// <summary>Why a node is not to be asked for this content, for people; null when it may be.</summary>
    public string? ProblemOf(NodeName node, Digest digest) =>
        _shunned.TryGetValue((node, digest), out _) ? "it has sent corrupt bytes of this content"
        : _silent.TryGetValue(node, out _) ? "it has just been silent for too long"
        : null;

    /// <summary>Stops asking the node for this content, of which it has sent corrupt bytes.</summary>
    public void Shun(NodeName node, Digest digest)
    {
        _shunned.Set((node, digest), true, new MemoryCacheEntryOptions { Size = 1, AbsoluteExpirationRelativeToNow = ShunnedFor });
        metrics.Shunned();
    }

    /// <summary>Is told of a node that has not answered, and for how long it was waited for.</summary>
    public void Waited(NodeName node, TimeSpan waited)
    {
        // Shorter waits end for other reasons: the client is gone, or another answered.
        if (waited >= options.Value.PeerStartBudget / 2)
        {
            Silent(node);
        }
    }

    /// <summary>Is told of a node that has said nothing at all for longer than it may.</summary>
    public void Silent(NodeName node) =>
        _silent.Set(node, true, new MemoryCacheEntryOptions { Size = 1, AbsoluteExpirationRelativeToNow = SilentFor });

    /// <inheritdoc/>
    public void Dispose()
    {
        _shunned.Dispose();
        _silent.Dispose();
    }

    private sealed class Clock(TimeProvider time) : ISystemClock
    {
        public DateTimeOffset UtcNow => time.GetUtcNow();
    }
}
