using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Planning;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit.Blob.Planning;

/// <summary>Decisions in a world of two routes whose speeds a test sets, one pull after the other: a configuration and a layer each.</summary>
public class UpstreamDecisionsTests
{
    private const long MiB = 1024 * 1024;
    private const long Layer = 8 * MiB;
    private const double Slow = 2e6;
    private const double Fast = 20e6;

    private readonly FakeTimeProvider _time = new();
    private readonly ZoneOptions _zones = new() { Mode = "adaptive" };
    private readonly Location _far = Location.Parse("eu/b");
    private readonly Routes _routes;
    private readonly UpstreamDecisions _decisions;
    private readonly Dictionary<bool, double> _speed = [];

    public UpstreamDecisionsTests()
    {
        _routes = new Routes(_time);
        _decisions = new UpstreamDecisions(_routes, Options.Create(_zones));
        Speeds(peer: Fast, upstream: Fast);
    }

    [Fact]
    public void While_nothing_is_known_peers_are_used()
    {
        var decision = _decisions.Decide(_far, Tier.SameRegion, "docker.io", Layer);

        Assert.True(decision.UsePeer);
        Assert.Contains("nothing is known", decision.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Upstream_is_tried_when_nothing_has_come_from_there_for_a_while()
    {
        var usesPeer = Pull(12);

        Assert.Equal(1, usesPeer.Count(uses => !uses));
        Assert.NotNull(_routes.FromUpstream("docker.io"));
    }

    [Theory]
    [InlineData(Slow, Fast, false)]
    [InlineData(Fast, Slow, true)]
    public void The_faster_route_is_used_once_both_are_known(double peer, double upstream, bool usesPeer)
    {
        Speeds(peer, upstream);
        Pull(20);

        Assert.InRange(Pull(100).Count(uses => uses == usesPeer), 95, 100);
    }

    [Theory]
    [InlineData(Slow, Fast)]
    [InlineData(Fast, Slow)]
    public void When_the_routes_swap_their_speeds_the_mind_is_changed_within_ten_pulls(double peer, double upstream)
    {
        Speeds(peer, upstream);
        Pull(100);
        Speeds(upstream, peer);
        Pull(10);

        var faster = upstream > peer;
        Assert.InRange(Pull(50).Count(uses => uses == faster), 47, 50);
    }

    [Theory]
    [InlineData(Slow, Fast)]
    [InlineData(Fast, Slow)]
    public void A_hundred_pulls_take_at_most_a_seventh_longer_than_by_the_faster_route(double peer, double upstream)
    {
        Speeds(peer, upstream);
        _routes.ReceivedFromUpstream("docker.io", Layer, Duration(usePeer: false, Layer));
        _routes.Received(_far, Layer, Duration(usePeer: true, Layer));
        var start = _time.GetUtcNow();
        Pull(100);

        var best = 100 * Duration(upstream < peer, Layer);
        Assert.InRange(_time.GetUtcNow() - start, best, best * 1.15);
    }

    [Fact]
    public void Of_routes_that_are_about_as_fast_one_stays_and_the_other_is_tried_now_and_then()
    {
        Speeds(peer: Fast, upstream: Fast * 1.1);
        Pull(30);

        Assert.InRange(Pull(100).Count(uses => uses), 90, 98);
    }

    [Fact]
    public void A_price_turns_the_decision_when_it_outweighs_the_time()
    {
        Speeds(peer: Fast, upstream: Slow);
        Pull(20);
        Assert.True(_decisions.Decide(_far, Tier.SameRegion, "docker.io", Layer).UsePeer);

        // 8 MiB at 1 a GiB cost 0.0078, as much as 7.8 s: more than the 3.8 s by which the peer is faster.
        _zones.Prices.SameRegion = 1;
        Assert.False(_decisions.Decide(_far, Tier.SameRegion, "docker.io", Layer).UsePeer);

        // When a second is worth ten times that, it is not.
        _zones.Prices.Second = 0.01;
        Assert.True(_decisions.Decide(_far, Tier.SameRegion, "docker.io", Layer).UsePeer);
    }

    [Fact]
    public void Registries_are_told_apart()
    {
        Speeds(peer: Fast, upstream: Slow);
        Pull(20);
        for (var i = 0; i < 5; i++)
        {
            _routes.ReceivedFromUpstream("near.example", Layer, TimeSpan.FromSeconds(0.05));
        }

        Assert.True(_decisions.Decide(_far, Tier.SameRegion, "docker.io", Layer).UsePeer);
        Assert.False(_decisions.Decide(_far, Tier.SameRegion, "near.example", Layer).UsePeer);
    }

    [Fact]
    public void To_look_changes_nothing()
    {
        Pull(5);
        var first = _decisions.Decide(_far, Tier.SameRegion, "docker.io", Layer);
        for (var i = 0; i < 1000; i++)
        {
            Assert.Equal(first, _decisions.Decide(_far, Tier.SameRegion, "docker.io", Layer));
        }
    }

    /// <summary>So many pulls; for each whether its layer came from a peer.</summary>
    private List<bool> Pull(int pulls)
    {
        var usesPeer = new List<bool>();
        for (var i = 0; i < pulls; i++)
        {
            Fetch(1500);
            usesPeer.Add(Fetch(Layer));
        }

        return usesPeer;
    }

    private bool Fetch(long bytes)
    {
        var decision = _decisions.Decide(_far, Tier.SameRegion, "docker.io", bytes);
        _decisions.Remember(_far, "docker.io", bytes, decision);
        var usePeer = decision.UsePeer;
        var duration = Duration(usePeer, bytes);
        _time.Advance(duration);
        if (usePeer)
        {
            _routes.From(_far).ObserveFirstByte(FirstByte);
            _routes.Received(_far, bytes, duration - FirstByte);
        }
        else
        {
            _routes.ReceivedFromUpstream("docker.io", bytes, duration);
        }

        return usePeer;
    }

    private static TimeSpan FirstByte => TimeSpan.FromMilliseconds(20);

    private TimeSpan Duration(bool usePeer, long bytes) => FirstByte + TimeSpan.FromSeconds(bytes / _speed[usePeer]);

    private void Speeds(double peer, double upstream) => (_speed[true], _speed[false]) = (peer, upstream);
}
