using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob.Peers;

public class PeerLoadsTests
{
    private readonly PeerLoads _loads = new();

    [Fact]
    public void Nearer_tiers_come_first_and_what_is_unknown_keeps_its_order() =>
        Assert.Equal(["near-1", "near-2", "region", "far"], Order(At("far", "us/a"), At("near-1", "eu/a"), At("region", "eu/b"), At("near-2", "eu/a")));

    [Fact]
    public void Of_two_the_one_with_fewer_requests_comes_first()
    {
        _loads.Begin(NodeName.Parse("one"));

        Assert.Equal(["two", "one"], Order(At("one", "eu/a"), At("two", "eu/a")));
    }

    [Fact]
    public void Of_two_with_as_many_requests_the_faster_comes_first()
    {
        Used("slow", 1);
        Used("fast", 10);

        Assert.Equal(["fast", "slow"], Order(At("slow", "eu/a"), At("fast", "eu/a")));
    }

    [Fact]
    public void A_busy_near_peer_stays_before_an_idle_far_one()
    {
        _loads.Begin(NodeName.Parse("near"));

        Assert.Equal(["near", "far"], Order(At("far", "eu/b"), At("near", "eu/a")));
    }

    [Fact]
    public void What_a_peer_is_asked_at_once_is_counted_until_it_ends()
    {
        var peer = NodeName.Parse("peer");
        _loads.Begin(peer);
        _loads.Begin(peer);
        Assert.Equal(2, _loads.Of(peer).Outstanding);

        _loads.End(peer, 0, TimeSpan.Zero);
        _loads.End(peer, 10_000_000, TimeSpan.FromSeconds(1));
        Assert.Equal(new PeerLoad(0, 10_000_000), _loads.Of(peer));
    }

    private void Used(string name, int megabytesPerSecond)
    {
        _loads.Begin(NodeName.Parse(name));
        _loads.End(NodeName.Parse(name), megabytesPerSecond * 1_000_000, TimeSpan.FromSeconds(1));
    }

    private IEnumerable<string> Order(params Holder[] holders) => _loads.Order(holders).Select(holder => holder.Node.Name.ToString());

    private static Holder At(string name, string location) => new(
        new NodeIdentity(NodeName.Parse(name), Location.Parse(location), BlobAddress.Parse("http://10.0.0.1:5000")),
        Location.Parse("eu/a").TierTo(Location.Parse(location)));
}
