using System.Buffers;
using Microsoft.Win32.SafeHandles;

namespace SpegelDapr.Blob.Local;

/// <summary>A download of this node that others follow ends too early, stands still, or is corrupt.</summary>
internal sealed class IngestEndedException(string message) : IOException(message);

/// <summary>
/// The file of a download that containerd is writing. It stays readable when containerd renames it, which is how a download is committed.
/// </summary>
internal sealed class GrowingFile(Ingest ingest, SafeFileHandle handle, LocalContent local, Feeds feeds, BlobMetrics metrics, TimeProvider time) : IDisposable
{
    /// <summary>How often a file that has not grown is looked at again: often enough for a chain of some nodes, each waiting for the one before.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(10);

    /// <summary>How often it is looked at while its last bytes are known as they come.</summary>
    private static readonly TimeSpan TailInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>After so long without growth it is seen to that the file is still there.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private long _length;
    private long _grown = time.GetTimestamp();

    /// <summary>Its length when it is complete.</summary>
    public long Total => ingest.Total;

    /// <summary>How much of it has come, written or not.</summary>
    public long Progress => Math.Min(Math.Max(RandomAccess.GetLength(handle), feeds.TailOf(ingest.Digest)?.End ?? 0), Total);

    /// <summary>
    /// Reads what there is at the offset, at most to the end of its chunk; waits until there is something. What containerd has yet to write is read as
    /// it comes.
    /// </summary>
    /// <param name="buffer">At least one chunk long.</param>
    /// <param name="offset">Below <see cref="Total"/>.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="IngestEndedException">There will be no more, or nothing has come for too long, or it is corrupt.</exception>
    public async ValueTask<int> ReadAsync(Memory<byte> buffer, long offset, CancellationToken cancellation)
    {
        while (true)
        {
            Look(offset);
            if (_length > offset)
            {
                return Read(buffer.Span, offset);
            }

            if (feeds.TailOf(ingest.Digest) is not { } tail)
            {
                await Task.Delay(Interval, time, cancellation);
                continue;
            }

            var grown = tail.Grown;
            if (tail.Read(offset, buffer.Span) is var read and > 0)
            {
                _grown = time.GetTimestamp();
                return read;
            }

            await Task.WhenAny(grown, Task.Delay(TailInterval, time, cancellation));
            cancellation.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Reads along as the file is written, so that each chunk is known as it was then.</summary>
    /// <exception cref="IngestEndedException">As for <see cref="ReadAsync"/>.</exception>
    public async Task ReadAlongAsync(CancellationToken cancellation)
    {
        for (long start = 0; start < Total; start += ChunkSums.ChunkBytes)
        {
            await GrowAsync(Math.Min(start + ChunkSums.ChunkBytes, Total), cancellation);
            var buffer = ArrayPool<byte>.Shared.Rent(ChunkSums.ChunkBytes);
            try
            {
                Read(buffer, start);
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }
    }

    /// <summary>Waits until the download is complete; false when it will not be.</summary>
    public async Task<bool> IsCommittedAsync(CancellationToken cancellation)
    {
        try
        {
            while (!local.Has(ingest.Digest))
            {
                Look(_length);
                await Task.Delay(Interval, time, cancellation);
            }

            return true;
        }
        catch (IngestEndedException)
        {
            return false;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => handle.Dispose();

    private async ValueTask GrowAsync(long length, CancellationToken cancellation)
    {
        Look(_length);
        while (_length < length)
        {
            await Task.Delay(Interval, time, cancellation);
            Look(_length);
        }
    }

    /// <summary>Takes the file's length, and judges it when it has not changed. That it stands still does not matter to who has still to read what is there.</summary>
    /// <param name="offset">The next byte that is read.</param>
    private void Look(long offset)
    {
        if (ingest.Sums.IsCorrupt)
        {
            throw new IngestEndedException("the download is corrupt");
        }

        var length = Math.Min(RandomAccess.GetLength(handle), Total);
        if (length < _length)
        {
            throw new IngestEndedException("the download has begun anew");
        }

        if (length > _length)
        {
            (_length, _grown) = (length, time.GetTimestamp());
        }
        else if (time.GetElapsedTime(_grown) > Pause && !File.Exists(ingest.DataPath) && !local.Has(ingest.Digest))
        {
            throw new IngestEndedException("the download has been given up");
        }
        else if (_length <= offset && feeds.PatienceLeft(ingest.Digest, _grown) <= TimeSpan.Zero)
        {
            throw new IngestEndedException($"the download stands still at byte {_length}");
        }
    }

    private int Read(Span<byte> buffer, long offset)
    {
        var chunk = offset / ChunkSums.ChunkBytes;
        var start = chunk * ChunkSums.ChunkBytes;
        var end = Math.Min(start + ChunkSums.ChunkBytes, Total);
        if (_length < end)
        {
            return Fill(buffer[..(int)(_length - offset)], offset);
        }

        if (offset == start)
        {
            return Check(chunk, buffer[..Fill(buffer[..(int)(end - start)], start)]);
        }

        var whole = ArrayPool<byte>.Shared.Rent(ChunkSums.ChunkBytes);
        try
        {
            Check(chunk, whole.AsSpan(0, Fill(whole.AsSpan(0, (int)(end - start)), start)));
            var rest = whole.AsSpan((int)(offset - start), (int)(end - offset));
            rest.CopyTo(buffer);
            return rest.Length;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(whole);
        }
    }

    private int Check(long chunk, ReadOnlySpan<byte> bytes)
    {
        if (ingest.Sums.Matches(chunk, bytes))
        {
            return bytes.Length;
        }

        metrics.Corrupt("ingest");
        throw new IngestEndedException($"what was written of it from byte {chunk * ChunkSums.ChunkBytes} on has changed since");
    }

    private int Fill(Span<byte> buffer, long offset)
    {
        for (var filled = 0; filled < buffer.Length;)
        {
            var read = RandomAccess.Read(handle, buffer[filled..], offset + filled);
            filled += read > 0 ? read : throw new IngestEndedException("the download has begun anew");
        }

        return buffer.Length;
    }
}
