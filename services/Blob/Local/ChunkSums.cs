using System.Collections.Concurrent;
using System.IO.Hashing;

namespace SpegelDapr.Blob.Local;

/// <summary>
/// What the chunks of a download were when they came from another node or, where they did not, when they were first read, moments after they were written. A chunk
/// that has changed since is rotten, which cannot be told by the digest before the whole is there.
/// </summary>
internal sealed class ChunkSums
{
    /// <summary>The length of a chunk in bytes: what containerd writes at once.</summary>
    public const int ChunkBytes = 1024 * 1024;

    private readonly ConcurrentDictionary<long, ulong> _sums = new();

    private readonly XxHash3 _coming = new();
    private long _next = -1;
    private volatile bool _isCorrupt;

    /// <summary>Whether some chunk has changed, or the whole is wrong.</summary>
    public bool IsCorrupt => _isCorrupt;

    /// <summary>Whether the chunk is as it was; true for one that is seen for the first time.</summary>
    public bool Matches(long chunk, ReadOnlySpan<byte> bytes) => Compare(chunk, XxHash3.HashToUInt64(bytes));

    /// <summary>
    /// Takes in bytes of the download that have come from another node, before containerd writes them. What it then writes must be the same. Not safe for several
    /// callers at once.
    /// </summary>
    public void Came(long offset, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var at = (int)(offset % ChunkBytes);
            var part = bytes[..Math.Min(bytes.Length, ChunkBytes - at)];
            if (at == 0)
            {
                _coming.Reset();
            }

            if (at == 0 || offset == _next)
            {
                _coming.Append(part);
                _next = offset + part.Length;
                if (at + part.Length == ChunkBytes)
                {
                    Compare(offset / ChunkBytes, _coming.GetCurrentHashAsUInt64());
                }
            }

            offset += part.Length;
            bytes = bytes[part.Length..];
        }
    }

    /// <summary>Says that the whole does not match its digest.</summary>
    public void Condemn() => _isCorrupt = true;

    private bool Compare(long chunk, ulong sum)
    {
        var matches = _sums.GetOrAdd(chunk, sum) == sum;
        _isCorrupt |= !matches;
        return matches;
    }
}
