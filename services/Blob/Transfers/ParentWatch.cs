using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>
/// Looks again and again whether the node that this one follows holds it up: it has nothing more to give, while one of those before it gets far more. This
/// node then goes on with that one, and the slow one is followed by nobody. When it is the lead that is slow, a second one may be faster. That a node before
/// is ahead says nothing: each joins later than the one that it follows, and with equal links never catches up.
/// </summary>
internal sealed class ParentWatch(
    PeerClient peers,
    ResolverClient resolver,
    FastestRate fastest,
    NodeIdentity node,
    string target,
    double? upstreamBytesPerSecond,
    Action tellSlow,
    TimeProvider time)
{
    /// <summary>How often the resolver is asked for another node than a slow one.</summary>
    public const int MostAsked = 3;

    /// <summary>How many nodes before this one are asked.</summary>
    private const int MostAncestors = 5;

    /// <summary>
    /// A node that gets this many times what this one gets is worth following, if it gets this at all. One that feeds two gets twice what each of them does, and
    /// could give this one no more.
    /// </summary>
    private const double MuchFaster = 2.5;
    private const double LeastBytesPerSecond = 64 * 1024;

    /// <summary>
    /// It must have this much more, or the beginning there costs what is gained. A node that has less than this to give has nothing more: containerd writes
    /// 1 MiB at a time, and sockets hold some.
    /// </summary>
    private const long LeastAheadBytes = 4 * 1024 * 1024;

    /// <summary>This part of what came to this node lately is slow; where nothing is known, this rate.</summary>
    private const double SlowPart = 0.25;
    private const double SlowBytesPerSecond = 2 * 1024 * 1024;

    /// <summary>
    /// A lead is slow by this part of what is known of upstream or, while nothing is, by the second part of what came to this node lately: a second lead then
    /// finds out. Several layers may share its link.
    /// </summary>
    private const double SlowPartOfUpstream = 0.25;
    private const double SlowPartOfOthers = 0.125;

    /// <summary>
    /// All contents together are little below this part of what usually comes or, while that is not known, the second part of what upstream gives of one.
    /// </summary>
    private const double LittleOfUsual = 0.15;
    private const double LittleOfUpstream = 0.5;

    /// <summary>
    /// This number of looks in turn must say the same. It is larger where not this node's parent is slow but one before it, since that one's follower is to go
    /// first, and larger still where the resolver is to name another, which may mean a second copy in the zone.
    /// </summary>
    private const int LooksForParent = 2;
    private const int LooksForOthers = 4;
    private const int LooksForResolver = 8;

    /// <summary>Over how many looks a rate is taken.</summary>
    private const int LooksOfRate = 4;

    /// <summary>One that has declined is not asked again for so long.</summary>
    private static readonly TimeSpan BusyFor = TimeSpan.FromSeconds(3);

    /// <summary>While all is well, looks become rarer; less so while far less comes than nodes before this one could give, as when one of them looks for a source.</summary>
    private static readonly TimeSpan FirstInterval = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan HeldUpInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestInterval = TimeSpan.FromSeconds(4);

    /// <summary>To begin with another source is not worth while for less, and a second copy in the zone is not for less than the latter.</summary>
    private static readonly TimeSpan LeastGain = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LeastGainOfCopy = TimeSpan.FromSeconds(5);

    /// <summary>What came before this transfer: what comes now is not judged by itself.</summary>
    private readonly double? _lately = fastest.BytesPerSecond;

    /// <summary>Watches until the node that is followed is to be left; ends by <paramref name="cancellation"/> otherwise.</summary>
    /// <param name="parent">The node that is followed.</param>
    /// <param name="total">The content's length in bytes.</param>
    /// <param name="received">How many bytes have come, from the first on.</param>
    /// <param name="asked">How often the resolver has been asked whom to follow instead. It is asked a few times, and for a second copy in the zone once.</param>
    /// <param name="refused">Nodes that were ahead and have given nothing.</param>
    /// <param name="busy">Those that have just declined.</param>
    /// <param name="cancellation">Ends the watch.</param>
    public async Task<Departure> WatchAsync(
        NodeIdentity parent,
        long total,
        Func<long> received,
        int asked,
        IReadOnlyCollection<NodeName> refused,
        IReadOnlyCollection<NodeName> busy,
        CancellationToken cancellation)
    {
        var began = time.GetTimestamp();
        IReadOnlyCollection<NodeName> unwilling = [.. refused, .. busy];
        var rates = new Dictionary<NodeName, Queue<(long At, long Bytes)>>();
        var identities = new Dictionary<NodeName, NodeIdentity>();
        var lately = _lately;
        RateOf(rates, node.Name, received());
        var (wanted, looks, interval, behind) = (default(Departure), 0, FirstInterval, 0);
        IReadOnlyList<NodeName> path = [];
        while (true)
        {
            await Task.Delay(interval, time, cancellation);
            var now = received();
            var left = total - now;
            Departure? departure = null;
            var (isUnknown, longest) = (false, LongestInterval);
            if (RateOf(rates, node.Name, now) is not { } rate)
            {
                continue;
            }

            fastest.Saw(rate);
            if (left > rate * LeastGain.TotalSeconds && !(rate >= lately / MuchFaster))
            {
                var isLeadSlow = asked == 0 && left > rate * LeastGainOfCopy.TotalSeconds && rate < LeastOfLead(lately);
                var ancestors = await ClimbAsync(parent, total, rates, identities, cancellation);
                var hasMoved = ancestors.Zip(path).Any(pair => pair.First.Node.Name != pair.Second);
                path = [.. ancestors.Select(ancestor => ancestor.Node.Name)];
                if (hasMoved)
                {
                    // One of them has another source now. What came until then says nothing of what comes from there.
                    rates.Clear();
                    RateOf(rates, node.Name, now);
                    (wanted, looks, interval) = (null, 0, FirstInterval);
                    continue;
                }

                isUnknown = ancestors.Any(ancestor => ancestor.Rate is null);
                var known = ancestors.Select(ancestor => (double?)ancestor.Fastest).Append(lately).Max();
                longest = MuchFaster * rate < known ? HeldUpInterval : LongestInterval;
                departure = Judge(ancestors, now, rate, slow: SlowPart * known ?? SlowBytesPerSecond, isLeadSlow, mayAsk: asked < MostAsked, time.GetElapsedTime(began) < BusyFor ? unwilling : refused);
                behind = ancestors is [var before, ..] && IsLittle(before, now) ? behind + 1 : 0;
                if (behind == LooksForParent && !fastest.IsSlow)
                {
                    fastest.Expect(SlowPart * BestOf(ancestors[0]));
                    tellSlow();
                }
            }

            (wanted, looks) = departure == wanted ? (wanted, looks + 1) : (departure, 1);
            interval = departure is not null || isUnknown ? FirstInterval : 2 * interval < longest ? 2 * interval : longest;
            if (departure is { IsCircle: true } || (departure is not null && looks >= LooksFor(departure)))
            {
                return departure;
            }
        }
    }

    /// <summary>
    /// Watches what a node gives that has the content whole, and ends when that is so little that one copy from upstream would be there much sooner; else it is
    /// ended by <paramref name="cancellation"/>. Where neither node has got anything from the registry lately that may be away, and nothing is too little. Nor is
    /// what others usually give: where upstream is faster than the zone's links, content still comes from the zone.
    /// Which of several contents a shared link lets through is chance, so all that comes counts.
    /// </summary>
    /// <param name="holder">The node.</param>
    /// <param name="upstream">How many bytes a second the registry has given this node lately; null when it has given nothing.</param>
    /// <param name="isKnown">Whether the node has been too slow before, so that what usually comes may be what came from there.</param>
    /// <param name="total">The content's length in bytes.</param>
    /// <param name="received">How many bytes have come, from the first on.</param>
    /// <param name="cancellation">Ends the watch.</param>
    public async Task HolderIsSlowAsync(NodeIdentity holder, double? upstream, bool isKnown, long total, Func<long> received, CancellationToken cancellation)
    {
        var rates = new Dictionary<NodeName, Queue<(long At, long Bytes)>>();
        var usual = isKnown ? null : fastest.FastestNow;
        RateOf(rates, node.Name, received());
        for (var looks = 0; looks < LooksForOthers;)
        {
            await Task.Delay(FirstInterval, time, cancellation);
            upstream ??= await peers.ProgressAsync(holder, target, cancellation) is { } progress ? progress.Upstream ?? 0 : null;
            var now = received();
            var rate = RateOf(rates, node.Name, now);
            fastest.Saw(rate ?? 0);
            var little = LittleOfUsual * usual ?? LittleOfUpstream * upstream;
            looks = rate < SlowPartOfUpstream * upstream && fastest.Now < little && total - now > rate * LeastGainOfCopy.TotalSeconds ? looks + 1 : 0;
        }
    }

    /// <summary>Whether a node has come farther with the content.</summary>
    public async Task<bool> IsAheadAsync(NodeIdentity other, long received, CancellationToken cancellation) =>
        (await peers.ProgressAsync(other, target, cancellation))?.Bytes > received;

    /// <summary>Whether this node takes far less than the one before it gets, which has more for it.</summary>
    private bool IsLittle(Ancestor before, long received) =>
        before.Bytes - received > LeastAheadBytes && fastest.BytesPerSecond < SlowPart * BestOf(before);

    private static double BestOf(Ancestor ancestor) => Math.Max(ancestor.Rate ?? 0, ancestor.Fastest ?? 0);

    private double LeastOfLead(double? lately) =>
        SlowPartOfUpstream * upstreamBytesPerSecond ?? SlowPartOfOthers * lately ?? LeastBytesPerSecond;

    private static int LooksFor(Departure departure) => departure switch
    {
        { Next: null } => LooksForResolver,
        { Nearer: 1 } => LooksForParent,
        _ => LooksForOthers,
    };

    /// <summary>Where to go from a node that is followed; null when it is as good as those before it.</summary>
    private static Departure? Judge(
        IReadOnlyList<Ancestor> ancestors, long received, double rate, double slow, bool isLeadSlow, bool mayAsk, IReadOnlyCollection<NodeName> refused)
    {
        if (ancestors is not [var parent, ..])
        {
            return null;
        }

        // What a complete node could give is not known. It is little when it is slow by its own account.
        var isSlow = rate < slow;

        // A parent that has more to give is what holds this node up only when it is slow; else the way from there does, or this node's own link.
        if (parent.IsComplete || parent.Bytes - received > LeastAheadBytes)
        {
            return !isSlow || !(parent.Fastest < slow) ? null
                : ancestors.Index().Skip(1).FirstOrDefault(found => !(found.Item.Fastest < slow)) is (> 0 and var nearer, { Node: var before }) && !refused.Contains(before.Name)
                    ? new Departure(before, nearer, IsSlow: true)
                : mayAsk ? new Departure(null, 0)
                : null;
        }

        if (ancestors[^1].IsCircle)
        {
            return new Departure(null, 0, IsCircle: true);
        }

        var (isRefused, much) = (false, Math.Max(MuchFaster * rate, LeastBytesPerSecond));
        foreach (var (i, ancestor) in ancestors.Index().Skip(1))
        {
            if (ancestor.Bytes - received > LeastAheadBytes)
            {
                // What a complete node could give may not be known. The one behind it is what holds this node up when that cannot give much more.
                var isBehindSlow = isSlow && ancestors[i - 1].Fastest < slow;
                var isFaster = ancestor.IsComplete
                    ? isBehindSlow || ((isSlow || ancestor.Fastest >= much) && ancestors[i - 1].Fastest < much)
                    : ancestor.Rate >= much;
                if (!isFaster)
                {
                    break;
                }

                // One that is slow itself has its followers wait for it as well.
                if (ancestor.Fastest < slow && i < ancestors.Count - 1)
                {
                    continue;
                }

                if (!refused.Contains(ancestor.Node.Name))
                {
                    return new Departure(ancestor.Node, i, IsSlow: isBehindSlow);
                }

                isRefused = true;
            }
        }

        return isRefused && mayAsk ? new Departure(null, 0)
            : isLeadSlow && ancestors.Count == 1 && parent is { Source: null, Rate: > 0 } ? new Departure(null, 0)
            : null;
    }

    /// <summary>The nodes before this one, from its parent on, as far as they say.</summary>
    private async Task<IReadOnlyList<Ancestor>> ClimbAsync(
        NodeIdentity parent,
        long total,
        Dictionary<NodeName, Queue<(long At, long Bytes)>> rates,
        Dictionary<NodeName, NodeIdentity> identities,
        CancellationToken cancellation)
    {
        var ancestors = new List<Ancestor>();
        var at = parent;
        while (ancestors.Count < MostAncestors && await peers.ProgressAsync(at, target, cancellation) is { } progress)
        {
            ancestors.Add(new Ancestor(
                at,
                progress.Bytes,
                RateOf(rates, at.Name, progress.Bytes),
                progress.Fastest,
                progress.Source,
                IsComplete: progress.Bytes >= total,
                IsCircle: progress.Source == node.Name));
            if (progress.Source is not { } source || source == node.Name)
            {
                break;
            }

            if (!identities.TryGetValue(source, out var next))
            {
                if ((await resolver.FindAsync(new PeerClaim(node.Location, source), cancellation))?.Node is not { } found)
                {
                    break;
                }

                identities[source] = next = found;
            }

            at = next;
        }

        return ancestors;
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

    private sealed record Ancestor(NodeIdentity Node, long Bytes, double? Rate, long? Fastest, NodeName? Source, bool IsComplete, bool IsCircle);
}

/// <summary>That a node is to be left.</summary>
/// <param name="Next">
/// The one to follow instead; null when the resolver is to say whom, because the node leads and is slow or because those before it have no place, or when it is
/// <paramref name="IsCircle"/>.
/// </param>
/// <param name="Nearer">How many nodes nearer to the source that is.</param>
/// <param name="IsCircle">Whether the node is fed by this one.</param>
/// <param name="IsSlow">Whether the last node behind <paramref name="Next"/> is slow by its own account.</param>
internal sealed record Departure(NodeIdentity? Next, int Nearer, bool IsCircle = false, bool IsSlow = false);
