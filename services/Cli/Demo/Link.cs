using System.Threading.RateLimiting;

namespace SpegelDapr.Cli.Demo;

/// <summary>One direction of a way into the demo's network, shared by all that goes over it.</summary>
internal sealed class Link : IAsyncDisposable
{
    /// <summary>The most bytes that take their time at once.</summary>
    public const int ChunkBytes = 16 * 1024;

    private const int TicksPerSecond = 50;

    private readonly TokenBucketRateLimiter _limiter;

    /// <param name="bytesPerSecond">How much it carries.</param>
    public Link(long bytesPerSecond)
    {
        var perTick = (int)Math.Clamp(bytesPerSecond / TicksPerSecond, 1, int.MaxValue / TicksPerSecond);

        // What a tick brings too late, on a machine that is busy, is not lost; and no write waits for more than the bucket holds.
        _limiter = new TokenBucketRateLimiter(new TokenBucketRateLimiterOptions
        {
            ReplenishmentPeriod = TimeSpan.FromSeconds(1) / TicksPerSecond,
            TokensPerPeriod = perTick,
            TokenLimit = Math.Max(perTick * (TicksPerSecond / 5), ChunkBytes),
            QueueLimit = int.MaxValue,
            QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
        });
    }

    /// <summary>Waits until it has carried some bytes, at most <see cref="ChunkBytes"/>.</summary>
    public async ValueTask CarryAsync(int bytes, CancellationToken cancellation)
    {
        using var lease = await _limiter.AcquireAsync(bytes, cancellation);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _limiter.DisposeAsync();
}
