using System.Buffers;

namespace SpegelDapr.Blob.Local;

/// <summary>
/// The last bytes that have come for a download. containerd collects 1 MiB before it writes, and a follower need not wait for that: over a chain
/// of nodes it would add up.
/// </summary>
internal sealed class Tail : IDisposable
{
    /// <summary>As much as containerd collects, and what is on its way there.</summary>
    private const int Capacity = 2 * ChunkSums.ChunkBytes;

    private readonly Lock _lock = new();
    private byte[]? _ring;
    private bool _disposed;
    private long _start;
    private long _end;
    private volatile TaskCompletionSource _grown = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Ends when more has come. To miss nothing, take it before <see cref="Read"/>.</summary>
    public Task Grown => _grown.Task;

    /// <summary>The place after the last byte that has come.</summary>
    public long End
    {
        get
        {
            lock (_lock)
            {
                return _end;
            }
        }
    }

    /// <summary>Adds bytes at their offset in the content; what is not the continuation of what was there replaces it.</summary>
    public void Append(long offset, ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            // Most requests are led, and nothing comes by this way.
            _ring ??= ArrayPool<byte>.Shared.Rent(Capacity);
            if (offset != _end)
            {
                (_start, _end) = (offset, offset);
            }

            if (bytes.Length > Capacity)
            {
                _end += bytes.Length - Capacity;
                bytes = bytes[^Capacity..];
            }

            var at = (int)(_end % Capacity);
            var first = Math.Min(bytes.Length, Capacity - at);
            bytes[..first].CopyTo(_ring.AsSpan(at));
            bytes[first..].CopyTo(_ring);
            _end += bytes.Length;
            _start = Math.Max(_start, _end - Capacity);
        }

        Interlocked.Exchange(ref _grown, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();
    }

    /// <summary>Reads from the offset on; 0 when these bytes have not come, or are no longer here.</summary>
    public int Read(long offset, Span<byte> buffer)
    {
        lock (_lock)
        {
            if (_ring is null || offset < _start || offset >= _end)
            {
                return 0;
            }

            var count = (int)Math.Min(buffer.Length, _end - offset);
            var at = (int)(offset % Capacity);
            var first = Math.Min(count, Capacity - at);
            _ring.AsSpan(at, first).CopyTo(buffer);
            _ring.AsSpan(0, count - first).CopyTo(buffer[first..]);
            return count;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            if (_ring is not null)
            {
                ArrayPool<byte>.Shared.Return(_ring);
                _ring = null;
            }
        }

        _grown.TrySetResult();
    }
}
