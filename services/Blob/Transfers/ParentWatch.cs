using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>
/// Looks once a second whether the node that this one follows holds it up: it gets no more than it gives, while one of those before it gets far more. This
/// node then follows that one, and the slow one is followed by nobody. When it is the lead that is slow, a second one may be faster. That a node before is
/// ahead says nothing: each joins later than the one that it follows, and with equal links never catches up.
/// </summary>
internal sealed class ParentWatch(
    PeerClient peers, ResolverClient resolver, FastestRate fastest, NodeIdentity node, string target, double? upstreamBytesPerSecond, TimeProvider time)
{
    /// <summary>How many nodes before this one are asked.</summary>
    private const int MostAncestors = 5;

    /// <summary>A node that gets this many times what this one gets is worth following, if it gets this at all.</summary>
    private const double MuchFaster = 2;
    private const double LeastBytesPerSecond = 64 * 1024;

    /// <summary>
    /// It must have this much more, or the beginning there costs what is gained. A node that has less than this to give holds this one up by what it gets:
    /// containerd writes 1 MiB at a time, and sockets hold some.
    /// </summary>
    private const long LeastAheadBytes = 4 * 1024 * 1024;

    /// <summary>This part of what has come to this node lately, or could from upstream, is slow; where nothing is known, this rate.</summary>
    private const double SlowPart = 0.25;
    private const double SlowBytesPerSecond = 2 * 1024 * 1024;

    /// <summary>
    /// This number of looks in turn must say the same. It is larger where not this node's parent is slow but one before it, since that one's follower is to go
    /// first, and for a second copy in the zone.
    /// </summary>
    private const int LooksForParent = 2;
    private const int LooksForOthers = 4;

    /// <summary>Over how many looks a rate is taken.</summary>
    private const int LooksOfRate = 4;

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>To begin with another source is not worth while for less, and a second copy in the zone is not for less than the latter.</summary>
    private static readonly TimeSpan LeastGain = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LeastGainOfCopy = TimeSpan.FromSeconds(5);

    /// <summary>Watches until the node that is followed is to be left; ends by <paramref name="cancellation"/> otherwise.</summary>
    /// <param name="parent">The node that is followed.</param>
    /// <param name="total">The content's length in bytes.</param>
    /// <param name="received">How many bytes have come, from the first on.</param>
    /// <param name="cancellation">Ends the watch.</param>
    public async Task<Departure> WatchAsync(NodeIdentity parent, long total, Func<long> received, CancellationToken cancellation)
    {
        var rates = new Dictionary<NodeName, Queue<(long At, long Bytes)>>();
        RateOf(rates, node.Name, received());
        var (wanted, looks) = (default(Departure), 0);
        while (true)
        {
            await Task.Delay(Interval, time, cancellation);
            var now = received();
            var rate = RateOf(rates, node.Name, now) ?? 0;
            var isSlow = rate < (fastest.BytesPerSecond is { } known ? SlowPart * known : SlowBytesPerSecond);
            var isSlowForUpstream = rate < (upstreamBytesPerSecond is { } upstream ? SlowPart * upstream : SlowBytesPerSecond);
            fastest.Saw(rate);
            var left = total - now;
            if (left <= rate * LeastGain.TotalSeconds)
            {
                continue;
            }

            var ancestors = await ClimbAsync(parent, total, rates, cancellation);
            var departure = Judge(ancestors, now, rate, isSlow, mayCopy: isSlowForUpstream && left > rate * LeastGainOfCopy.TotalSeconds);
            (wanted, looks) = departure == wanted ? (wanted, looks + 1) : (departure, 1);
            if (departure is not null && looks >= (departure.Nearer == 1 ? LooksForParent : LooksForOthers))
            {
                return departure;
            }
        }
    }

    /// <summary>Where to go from a node that is followed; null when it is as good as those before it.</summary>
    private static Departure? Judge(List<Ancestor> ancestors, long received, double rate, bool isSlow, bool mayCopy)
    {
        for (var i = 0; i < ancestors.Count; i++)
        {
            var ancestor = ancestors[i];
            var isAhead = ancestor.Bytes - received > LeastAheadBytes;
            if (i > 0 && isAhead && (ancestor.IsComplete ? isSlow : ancestor.Rate >= Math.Max(MuchFaster * rate, LeastBytesPerSecond)))
            {
                return new Departure(ancestor.Node, i);
            }

            // Between that one and this one something is slow, perhaps this node's own link, which no other node mends.
            if (isAhead && !isSlow)
            {
                return null;
            }
        }

        return mayCopy && ancestors is [{ Source: null }] ? new Departure(null, 0) : null;
    }

    /// <summary>Takes in how many bytes a node has; its rate over the last looks, null at the first one.</summary>
    private double? RateOf(Dictionary<NodeName, Queue<(long At, long Bytes)>> rates, NodeName of, long bytes)
    {
        if (!rates.TryGetValue(of, out var looks))
        {
            rates[of] = looks = new Queue<(long At, long Bytes)>();
        }

        var now = time.GetTimestamp();
        looks.Enqueue((now, bytes));
        if (looks.Count > LooksOfRate)
        {
            looks.Dequeue();
        }

        var (at, before) = looks.Peek();
        return looks.Count == 1 || now == at ? null : (bytes - before) / time.GetElapsedTime(at, now).TotalSeconds;
    }

    /// <summary>The nodes before this one, from its parent on, as far as they say.</summary>
    private async Task<List<Ancestor>> ClimbAsync(
        NodeIdentity parent, long total, Dictionary<NodeName, Queue<(long At, long Bytes)>> rates, CancellationToken cancellation)
    {
        var ancestors = new List<Ancestor>();
        var at = parent;
        while (ancestors.Count < MostAncestors && await peers.ProgressAsync(at, target, cancellation) is { } progress)
        {
            ancestors.Add(new Ancestor(at, progress.Bytes, RateOf(rates, at.Name, progress.Bytes), progress.Source, progress.Bytes >= total));
            if (progress.Source is not { } source
                || source == node.Name
                || (await resolver.FindAsync(new PeerClaim(node.Location, source), cancellation))?.Node is not { } next)
            {
                break;
            }

            at = next;
        }

        return ancestors;
    }

    private sealed record Ancestor(NodeIdentity Node, long Bytes, double? Rate, NodeName? Source, bool IsComplete);
}

/// <summary>That a node is to be left for another.</summary>
/// <param name="Next">The one to follow instead; null when it leads and is slow, and the resolver is to say whom.</param>
/// <param name="Nearer">How many nodes nearer to the source that is.</param>
internal sealed record Departure(NodeIdentity? Next, int Nearer);
