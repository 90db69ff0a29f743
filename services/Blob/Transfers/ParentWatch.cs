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

    /// <summary>A node that gets this many times what this one gets is worth following; one that gets less than the other does not hold it up.</summary>
    private const double MuchFaster = 2;
    private const double NoFaster = 1.5;

    /// <summary>A node that gets less is not worth following, however little this one gets.</summary>
    private const double LeastBytesPerSecond = 64 * 1024;

    /// <summary>It must have this much more, or the beginning there costs what is gained.</summary>
    private const long LeastAheadBytes = 4 * 1024 * 1024;

    /// <summary>This part of what this node is known to get from elsewhere is slow; where nothing is known, this rate.</summary>
    private const double SlowPart = 0.25;
    private const double SlowBytesPerSecond = 2 * 1024 * 1024;

    /// <summary>So many looks in turn must say the same: more where it is not this node's parent that is slow, since the one after that goes first.</summary>
    private const int LooksForParent = 2;
    private const int LooksForOthers = 4;

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
        var before = received();
        var known = new Dictionary<NodeName, long>();
        var (wanted, looks) = (default(Departure), 0);
        while (true)
        {
            await Task.Delay(Interval, time, cancellation);
            var now = received();
            var rate = (now - before) / Interval.TotalSeconds;
            before = now;
            var isSlow = IsSlow(rate);
            fastest.Saw(rate);
            if (total - now <= rate * LeastGain.TotalSeconds)
            {
                continue;
            }

            var ancestors = await ClimbAsync(parent, total, known, cancellation);
            var departure = Judge(ancestors, now, rate, isSlow, isLong: total - now > rate * LeastGainOfCopy.TotalSeconds);
            (wanted, looks) = departure == wanted ? (wanted, looks + 1) : (departure, 1);
            if (departure is not null && looks >= (departure.Nearer > 1 ? LooksForOthers : LooksForParent))
            {
                return departure;
            }
        }
    }

    private bool IsSlow(double rate) => Math.Max(fastest.BytesPerSecond ?? 0, upstreamBytesPerSecond ?? 0) is var elsewhere and > 0
        ? rate < SlowPart * elsewhere
        : rate < SlowBytesPerSecond;

    /// <summary>Where to go from a node that is followed; null when it is as good as those before it.</summary>
    private static Departure? Judge(List<Ancestor> ancestors, long received, double rate, bool isSlow, bool isLong)
    {
        for (var i = 0; i < ancestors.Count; i++)
        {
            var ancestor = ancestors[i];
            if (i > 0 && (ancestor.IsComplete ? isSlow : ancestor.Rate >= Math.Max(MuchFaster * rate, LeastBytesPerSecond)) && ancestor.Bytes - received > LeastAheadBytes)
            {
                return new Departure(ancestor.Node, i);
            }

            // What this one gets is held up behind it, which no node before it can mend.
            if (!ancestor.IsComplete && (ancestor.Rate is not { } its || its > NoFaster * rate))
            {
                return null;
            }
        }

        return isSlow && isLong && ancestors is [{ Source: null }] ? new Departure(null, 0) : null;
    }

    /// <summary>The nodes before this one, from its parent on, as far as they say.</summary>
    private async Task<List<Ancestor>> ClimbAsync(NodeIdentity parent, long total, Dictionary<NodeName, long> known, CancellationToken cancellation)
    {
        var ancestors = new List<Ancestor>();
        var at = parent;
        while (ancestors.Count < MostAncestors && await peers.ProgressAsync(at, target, cancellation) is { } progress)
        {
            double? rate = known.TryGetValue(at.Name, out var before) ? (progress.Bytes - before) / Interval.TotalSeconds : null;
            known[at.Name] = progress.Bytes;
            ancestors.Add(new Ancestor(at, progress.Bytes, rate, progress.Source, progress.Bytes >= total));
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
