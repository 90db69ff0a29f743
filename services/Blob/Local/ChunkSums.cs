using System.Collections.Concurrent;
using System.IO.Hashing;

namespace SpegelDapr.Blob.Local;

/// <summary>
/// What the chunks of a download were when they were first read, moments after they were written. A chunk that has changed since is rotten, which
/// cannot be told by the digest before the whole is there.
/// </summary>
internal sealed class ChunkSums
{
    /// <summary>The length of a chunk in bytes: what containerd writes at once.</summary>
    public const int ChunkBytes = 1024 * 1024;

    private readonly ConcurrentDictionary<long, ulong> _sums = new();

    private volatile bool _isCorrupt;

    /// <summary>Whether some chunk has changed, or the whole is wrong.</summary>
    public bool IsCorrupt => _isCorrupt;

    /// <summary>Whether the chunk is as it was; true for one that is seen for the first time.</summary>
    public bool Matches(long chunk, ReadOnlySpan<byte> bytes)
    {
        var sum = XxHash3.HashToUInt64(bytes);
        var matches = _sums.GetOrAdd(chunk, sum) == sum;
        _isCorrupt |= !matches;
        return matches;
    }

    /// <summary>Says that the whole does not match its digest.</summary>
    public void Condemn() => _isCorrupt = true;
}
