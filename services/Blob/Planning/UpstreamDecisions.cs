using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Planning;

/// <summary>
/// Decides, in mode adaptive, whether content comes from the peers of a location beyond the zone or from upstream: whichever is expected to
/// cost less, in seconds and in money, with hysteresis, and with a try now and then of the one that is not used.
/// </summary>
internal sealed class UpstreamDecisions(Routes routes, IOptions<ZoneOptions> zones)
{
    /// <summary>The other route must be expected to cost at most this part of the one in use to replace it.</summary>
    private const double Hysteresis = 0.8;

    /// <summary>After so many decisions against it a route is expected to take 1/e of what it once took, and after this time as well.</summary>
    private const double DecisionsUntilDoubted = 100;

    private static readonly TimeSpan AgeUntilDoubted = TimeSpan.FromHours(1);

    /// <summary>While nothing is known of upstream, each so many decisions one finds out.</summary>
    private const int DecisionsUntilUpstreamIsTried = 10;

    private readonly ConcurrentDictionary<(Location, string), Preference> _preferences = new();

    /// <summary>Decides; nothing changes by it.</summary>
    public UpstreamDecision Decide(Location location, Tier tier, string registry, long bytes)
    {
        var preference = PreferenceOf(location, registry);
        var (peer, upstream) = (routes.From(location), routes.FromUpstream(registry));
        var prices = zones.Value.Prices;
        if (peer.Figures.Expect(bytes) is not { } peerSeconds)
        {
            return new UpstreamDecision(UsePeer: true, null, null, IsTry: false, "nothing is known yet of how fast it is");
        }

        var peerCost = peerSeconds + prices.InSeconds(tier, bytes);
        if (upstream?.Figures.Expect(bytes) is not { } upstreamSeconds)
        {
            return bytes <= TransferEstimate.SmallBytes || preference.DecisionsWithoutUpstream + 1 < DecisionsUntilUpstreamIsTried
                ? new UpstreamDecision(UsePeer: true, peerCost, null, IsTry: false, "nothing is known yet of how fast upstream is")
                : new UpstreamDecision(UsePeer: false, peerCost, null, IsTry: true, "to find out how fast upstream is");
        }

        var upstreamCost = upstreamSeconds + prices.InSeconds(Tier.Upstream, bytes);
        var (usedCost, otherCost, other) = preference.UsePeer ? (peerCost, upstreamCost, upstream) : (upstreamCost, peerCost, peer);
        var otherSeconds = preference.UsePeer ? upstreamSeconds : peerSeconds;
        if (otherCost < usedCost * Hysteresis)
        {
            var usePeer = !preference.UsePeer;
            return new UpstreamDecision(usePeer, peerCost, upstreamCost, IsTry: false, Compare(usePeer, peerCost, upstreamCost));
        }

        // Only something large tells whether a doubt is justified.
        var doubted = otherCost - (otherSeconds * (1 - Trust(other)));
        return bytes > TransferEstimate.SmallBytes && doubted < usedCost * Hysteresis
            ? new UpstreamDecision(!preference.UsePeer, peerCost, upstreamCost, IsTry: true, "to find out whether what is known of it is still true")
            : new UpstreamDecision(preference.UsePeer, peerCost, upstreamCost, IsTry: false, Compare(preference.UsePeer, peerCost, upstreamCost));
    }

    /// <summary>Remembers a decision that is carried out.</summary>
    public void Remember(Location location, string registry, long bytes, UpstreamDecision decision)
    {
        var preference = PreferenceOf(location, registry);
        var (peer, upstream) = (routes.From(location), routes.FromUpstream(registry));
        var (chosen, other) = decision.UsePeer ? (peer, upstream) : (upstream, peer);
        if (decision.IsTry)
        {
            chosen?.Try();
            preference.DecisionsWithoutUpstream = 0;
        }
        else if (bytes > TransferEstimate.SmallBytes)
        {
            preference.DecisionsWithoutUpstream += decision.UpstreamCost is null ? 1 : 0;
            other?.PassOver();
        }

        if (!decision.IsTry && decision.UpstreamCost is not null)
        {
            preference.UsePeer = decision.UsePeer;
        }
    }

    private static double Trust(TransferEstimate route)
    {
        var (passedOver, age) = route.Staleness;
        return Math.Exp(-((passedOver / DecisionsUntilDoubted) + (age / AgeUntilDoubted)));
    }

    private static string Compare(bool usePeer, double peerCost, double upstreamCost)
    {
        var (kept, other) = usePeer ? (peerCost, upstreamCost) : (upstreamCost, peerCost);
        var (name, otherName) = usePeer ? ("the peer", "upstream") : ("upstream", "the peer");
        return kept <= other
            ? string.Create(CultureInfo.InvariantCulture, $"{name} is expected to cost {kept:0.###} s, {otherName} {other:0.###} s")
            : string.Create(CultureInfo.InvariantCulture, $"{name} stays: {otherName} is expected to cost {other:0.###} s instead of {kept:0.###} s, too little less");
    }

    /// <summary>Registries of which nothing is known share one, so that their names, which whoever asks may choose, take no memory.</summary>
    private Preference PreferenceOf(Location location, string registry) =>
        _preferences.GetOrAdd((location, routes.FromUpstream(registry) is null ? "" : registry), _ => new Preference());

    /// <summary>What holds until something better is expected. Requests at the same time may count one decision twice, which does no harm.</summary>
    private sealed class Preference
    {
        public bool UsePeer { get; set; } = true;

        public int DecisionsWithoutUpstream { get; set; }
    }
}

/// <summary>Peer or upstream.</summary>
/// <param name="UsePeer">The outcome.</param>
/// <param name="PeerCost">What the peers are expected to cost, in seconds with prices weighed in; null when unknown.</param>
/// <param name="UpstreamCost">The same of upstream.</param>
/// <param name="IsTry">Whether it goes against what is known, to learn.</param>
/// <param name="Reason">Why, for people.</param>
internal sealed record UpstreamDecision(bool UsePeer, double? PeerCost, double? UpstreamCost, bool IsTry, string Reason);
