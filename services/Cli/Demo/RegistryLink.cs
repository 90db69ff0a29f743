using System.Collections.Concurrent;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.Http;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Demo;

/// <summary>The way to the demo's registry: a link that all requests share, and a count of them.</summary>
internal sealed class RegistryLink : IAsyncDisposable
{
    private const int TicksPerSecond = 50;

    private readonly ConcurrentDictionary<Digest, int> _gets = new();
    private readonly TokenBucketRateLimiter _limiter;

    /// <param name="bytesPerSecond">How much it carries.</param>
    public RegistryLink(long bytesPerSecond)
    {
        var perTick = (int)Math.Clamp(bytesPerSecond / TicksPerSecond, 1, int.MaxValue / TicksPerSecond);
        BytesPerSecond = (long)perTick * TicksPerSecond;

        // What a tick brings too late, on a machine that is busy, is not lost; and no write waits for more than the bucket holds.
        _limiter = new TokenBucketRateLimiter(new TokenBucketRateLimiterOptions
        {
            ReplenishmentPeriod = TimeSpan.FromSeconds(1) / TicksPerSecond,
            TokensPerPeriod = perTick,
            TokenLimit = Math.Max(perTick * (TicksPerSecond / 5), PacedBody.ChunkBytes),
            QueueLimit = int.MaxValue,
            QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
        });
    }

    /// <summary>How much it carries.</summary>
    public long BytesPerSecond { get; }

    /// <summary>How often some content has been asked for by GET.</summary>
    public int GetsOf(Digest digest) => _gets.GetValueOrDefault(digest);

    /// <summary>Counts a request and has its answer take its time.</summary>
    public async Task HandleAsync(HttpContext context, RequestDelegate next)
    {
        if (HttpMethods.IsGet(context.Request.Method) && Digest.TryParse(context.Request.Path.Value?.Split('/')[^1], out var digest))
        {
            _gets.AddOrUpdate(digest, 1, (_, gets) => gets + 1);
        }

        await using var body = new PacedBody(context.Response.Body, _limiter);
        context.Response.Body = body;
        await next(context);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _limiter.DisposeAsync();

    private sealed class PacedBody(Stream inner, RateLimiter limiter) : Stream
    {
        public const int ChunkBytes = 16 * 1024;

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            while (!buffer.IsEmpty)
            {
                var count = Math.Min(buffer.Length, ChunkBytes);
                using (await limiter.AcquireAsync(count, cancellationToken))
                {
                    await inner.WriteAsync(buffer[..count], cancellationToken);
                }

                buffer = buffer[count..];
            }
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

        public override void Flush() => throw new NotSupportedException();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
