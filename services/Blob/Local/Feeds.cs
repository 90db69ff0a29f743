using System.Collections.Concurrent;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Local;

/// <summary>From how far this node's containerd is being fed what it downloads, by which silence on the way is judged.</summary>
internal sealed class Feeds(IOptions<BlobOptions> options, TimeProvider time) : IDisposable
{
    private const int MostRemembered = 10_000;
    private const int DeepestThatCounts = 10;

    private static readonly TimeSpan Remembered = TimeSpan.FromMinutes(10);

    private readonly MemoryCache _feeds = new(new MemoryCacheOptions { SizeLimit = MostRemembered });
    private readonly ConcurrentDictionary<Digest, Tail> _tails = new();

    /// <summary>
    /// Begins to follow others for this content; null when a request for it follows somebody already, since the resolver keeps one parent of each
    /// node, by which it avoids cycles. What comes is to be added to the answer, and <see cref="End"/> to be called.
    /// </summary>
    public Tail? TryBegin(Digest digest)
    {
        var tail = new Tail();
        if (_tails.TryAdd(digest, tail))
        {
            if (Leads(digest))
            {
                // It may follow somebody this time.
                _feeds.Remove(digest);
            }

            return tail;
        }

        tail.Dispose();
        return null;
    }

    /// <summary>
    /// Ends what <see cref="TryBegin"/> began. From now on it is upstream's time to begin. The parent stays known to requests that have joined, until the next one
    /// that begins knows its own.
    /// </summary>
    public void End(Digest digest)
    {
        if (_feeds.Get<Feed>(digest) is { } feed)
        {
            Change(digest, feed.Depth, feed.Parent, feed.Order);
        }

        if (_tails.TryRemove(digest, out var tail))
        {
            tail.Dispose();
        }
    }

    /// <summary>The last bytes that have come of this content; null when it does not come from other nodes now.</summary>
    public Tail? TailOf(Digest digest) => _tails.GetValueOrDefault(digest);

    /// <summary>From now on the content comes over this number of nodes, from that one: over 0 and from none when this node leads.</summary>
    /// <param name="digest">The content.</param>
    /// <param name="depth">The number of nodes.</param>
    /// <param name="parent">The nearest of them.</param>
    /// <param name="order">This node's place among those that fetch it, as the resolver has told it; null when it has not.</param>
    public void Change(Digest digest, int depth, NodeIdentity? parent, long? order) => _feeds.Set(
        digest, new Feed(depth, parent, order, time.GetTimestamp()), new MemoryCacheEntryOptions { Size = 1, AbsoluteExpirationRelativeToNow = Remembered });

    /// <summary>This node's place among those that fetch the content; null when the resolver has told none.</summary>
    public long? OrderOf(Digest digest) => _feeds.Get<Feed>(digest)?.Order;

    /// <summary>The node that this content has come from last, and at which depth; null when it comes from none.</summary>
    public (NodeIdentity Node, int Depth)? ParentOf(Digest digest) => _feeds.Get<Feed>(digest) is { Parent: { } parent } feed ? (parent, feed.Depth) : null;

    /// <summary>Whether this node leads, as far as is known: it has looked for a node to follow, and there is none.</summary>
    public bool Leads(Digest digest) => _feeds.Get<Feed>(digest) is { Parent: null };

    /// <summary>
    /// How long silence may last at a node of that depth. The nearer the source the sooner it is given up: the one next to the node that is gone
    /// finds another, and those behind it do not even notice.
    /// </summary>
    private TimeSpan Patience(int depth) => options.Value.StallBudget * ByDepth(depth);

    /// <summary>How long silence may last at a node of that depth while the node before it answers, and so will speak or hang up.</summary>
    public TimeSpan LongestPatience(int depth) => options.Value.FollowStartBudget * ByDepth(depth);

    /// <summary>
    /// For how much longer a download that has not grown since <paramref name="grown"/> may be silent; the clock starts anew when its source changes.
    /// While it comes from other nodes, those that follow this one wait as long as this node itself does, and for another node to be found.
    /// </summary>
    public TimeSpan PatienceLeft(Digest digest, long grown)
    {
        var feed = _feeds.Get<Feed>(digest);
        return _tails.ContainsKey(digest)
            ? TimeSpan.MaxValue
            : Patience(feed?.Depth ?? 0) - time.GetElapsedTime(Math.Max(grown, feed?.Since ?? grown));
    }

    /// <inheritdoc/>
    public void Dispose() => _feeds.Dispose();

    private static double ByDepth(int depth) => 1 + (Math.Min(depth, DeepestThatCounts) / 5.0);

    private sealed record Feed(int Depth, NodeIdentity? Parent, long? Order, long Since);
}
