using System.Collections.Concurrent;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>What this node knows of its peers' load: its own requests that they are answering, and how fast they have been lately.</summary>
internal sealed class PeerLoads
{
    /// <summary>Nodes come and go; those of which no more than an old speed is known are forgotten beyond this many.</summary>
    private const int MostRemembered = 10_000;

    private const double NewestWeight = 0.3;

    private readonly ConcurrentDictionary<NodeName, PeerLoad> _peers = new();

    /// <summary>What is known of a peer.</summary>
    public PeerLoad Of(NodeName peer) => _peers.GetValueOrDefault(peer, default);

    /// <summary>A request to a peer begins.</summary>
    public void Begin(NodeName peer)
    {
        if (_peers.Count >= MostRemembered)
        {
            foreach (var (idle, load) in _peers.Where(known => known.Value.Outstanding == 0))
            {
                _peers.TryRemove(KeyValuePair.Create(idle, load));
            }
        }

        _peers.AddOrUpdate(peer, _ => new PeerLoad(1, null), (_, load) => load with { Outstanding = load.Outstanding + 1 });
    }

    /// <summary>A request to a peer has ended, with that many bytes.</summary>
    public void End(NodeName peer, long bytes, TimeSpan duration)
    {
        double? speed = bytes > TransferEstimate.SmallBytes && duration > TimeSpan.Zero ? bytes / duration.TotalSeconds : null;
        _peers.AddOrUpdate(peer, _ => default, (_, load) => new PeerLoad(
            load.Outstanding - 1,
            speed is null ? load.BytesPerSecond : load.BytesPerSecond + (NewestWeight * (speed - load.BytesPerSecond)) ?? speed));
    }

    /// <summary>
    /// The holders in the order in which to try them: the nearest tier first and, within a tier, of the next two the one that is less busy, over
    /// and over. The resolver names those of a tier in random order, so this is the power of two choices. A peer that has not been used yet is
    /// given the benefit of the doubt.
    /// </summary>
    public IEnumerable<Holder> Order(IEnumerable<Holder> holders)
    {
        foreach (var tier in holders.GroupBy(holder => holder.Tier).OrderBy(tier => tier.Key))
        {
            Holder? best = null;
            foreach (var next in tier)
            {
                if (best is null)
                {
                    best = next;
                    continue;
                }

                var (better, other) = Wait(next) < Wait(best) ? (next, best) : (best, next);
                yield return better;
                best = other;
            }

            yield return best!;
        }
    }

    /// <summary>How long a byte more would take there, as far as is known, to compare peers by.</summary>
    private double Wait(Holder holder) => Of(holder.Node.Name) switch
    {
        { BytesPerSecond: { } speed } load => (load.Outstanding + 1) / speed,

        // As fast as a fast link, so that the next request goes elsewhere while this peer has one.
        var load => (load.Outstanding + 1) / 1e10,
    };
}

/// <summary>One peer's load.</summary>
/// <param name="Outstanding">Requests of this node that it is answering.</param>
/// <param name="BytesPerSecond">How fast it has been lately; null when nothing large has come from it.</param>
internal readonly record struct PeerLoad(int Outstanding, double? BytesPerSecond);
