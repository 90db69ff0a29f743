using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>
/// Looks once a second whether the node that this one follows holds it up: it has nothing left to give, while one of those before it is far ahead. This node
/// then follows that one, and the slow one is followed by nobody. When it is the lead that is slow, a second one may be faster.
/// </summary>
internal sealed class ParentWatch(
    PeerClient peers, ResolverClient resolver, NodeIdentity node, string target, double? upstreamBytesPerSecond, TimeProvider time)
{
    /// <summary>How many nodes before this one are asked.</summary>
    private const int MostAncestors = 5;

    /// <summary>What is on its way between two nodes may be this much, so who is less ahead than this is not.</summary>
    private const long LeastAheadBytes = 4 * 1024 * 1024;

    /// <summary>A lead that gives less, and much less than upstream where that is known, may be slower than another one would be.</summary>
    private const double SlowLeadBytesPerSecond = 2 * 1024 * 1024;
    private const double MuchFaster = 4;

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>To begin with another source is not worth while for less.</summary>
    private static readonly TimeSpan LeastGain = TimeSpan.FromSeconds(2);

    /// <summary>How long the rate of a lead is watched, and what a second copy must be expected to spare.</summary>
    private static readonly TimeSpan LeadPatience = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan LeastGainOfCopy = TimeSpan.FromSeconds(5);

    /// <summary>Watches until the node that is followed is to be left; ends by <paramref name="cancellation"/> otherwise.</summary>
    /// <param name="parent">The node that is followed.</param>
    /// <param name="total">The content's length in bytes.</param>
    /// <param name="received">How many bytes have come, from the first on.</param>
    /// <param name="cancellation">Ends the watch.</param>
    public async Task<Departure> WatchAsync(NodeIdentity parent, long total, Func<long> received, CancellationToken cancellation)
    {
        var (started, before) = (time.GetTimestamp(), received());
        while (true)
        {
            await Task.Delay(Interval, time, cancellation);
            var now = received();
            var (rate, left) = ((now - before) / Interval.TotalSeconds, total - now);
            before = now;
            if (left > rate * LeastGain.TotalSeconds && await JudgeAsync(parent, now, rate, cancellation) is { } departure)
            {
                var mayCopy = time.GetElapsedTime(started) >= LeadPatience && left > rate * LeastGainOfCopy.TotalSeconds && IsSlow(rate);
                if (departure.Next is not null || mayCopy)
                {
                    return departure;
                }
            }
        }
    }

    private bool IsSlow(double rate) => upstreamBytesPerSecond is { } upstream ? rate * MuchFaster < upstream : rate < SlowLeadBytesPerSecond;

    /// <summary>Where to go from a node that is followed; null when it is as good as those before it.</summary>
    private async Task<Departure?> JudgeAsync(NodeIdentity parent, long received, double rate, CancellationToken cancellation)
    {
        var at = parent;
        for (var ancestors = 0; ancestors < MostAncestors; ancestors++)
        {
            if (await peers.ProgressAsync(at, target, cancellation) is not { } progress)
            {
                return null;
            }

            // What has come there and not here is either held up before this node, which no other node can mend, or at a node in between.
            if (progress.Bytes - received > Math.Max(LeastAheadBytes, rate * Interval.TotalSeconds))
            {
                return ancestors == 0 ? null : new Departure(at, ancestors);
            }

            if (progress.Source is not { } source)
            {
                return ancestors == 0 ? new Departure(null, 0) : null;
            }

            if (source == node.Name || (await resolver.FindAsync(new PeerClaim(node.Location, source), cancellation))?.Node is not { } next)
            {
                return null;
            }

            at = next;
        }

        return null;
    }
}

/// <summary>That a node is to be left for another.</summary>
/// <param name="Next">The one to follow instead; null when it leads and is slow, and the resolver is to say whom.</param>
/// <param name="Nearer">How many nodes nearer to the source that is.</param>
internal sealed record Departure(NodeIdentity? Next, int Nearer);
