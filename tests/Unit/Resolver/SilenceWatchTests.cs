using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;
using SpegelDapr.Resolver.Subscribing;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit.Resolver;

/// <summary>Sidecars that deliver nothing any more.</summary>
public sealed class SilenceWatchTests : SidecarTests
{
    private static readonly TimeSpan Step = TimeSpan.FromSeconds(1);

    private readonly NodeIdentity _node = new(NodeName.Parse("node-1"), Location.Default, BlobAddress.Parse("http://node-1.example:5000"));

    [Fact]
    public async Task When_a_replica_hears_nothing_and_no_node_has_a_lease_the_sidecar_is_restarted_and_then_not_soon_again()
    {
        var replica = await StartAsync();
        await HearAsync(replica);

        await PassAsync(TimeSpan.FromSeconds(175));
        Assert.Equal(0, replica.Sidecar.Restarts);
        await PassAsync(TimeSpan.FromSeconds(40));
        Assert.Equal(1, replica.Sidecar.Restarts);

        await PassAsync(TimeSpan.FromMinutes(14));
        Assert.Equal(1, replica.Sidecar.Restarts);
        await PassAsync(TimeSpan.FromMinutes(2));
        Assert.Equal(2, replica.Sidecar.Restarts);
    }

    [Fact]
    public async Task A_broker_that_stays_away_is_given_up()
    {
        var replica = await StartAsync();
        await HearAsync(replica);

        await PassAsync(TimeSpan.FromHours(1.2));
        var restarts = replica.Sidecar.Restarts;
        await PassAsync(TimeSpan.FromHours(1));

        Assert.InRange(restarts, 3, 4);
        Assert.Equal(restarts, replica.Sidecar.Restarts);
    }

    [Fact]
    public async Task Replicas_take_turns()
    {
        var (one, other) = (await StartAsync(), await StartAsync());
        await HearAsync(one);
        await HearAsync(other);

        await PassAsync(TimeSpan.FromSeconds(215));
        Assert.Equal(1, one.Sidecar.Restarts + other.Sidecar.Restarts);
        await PassAsync(TimeSpan.FromSeconds(95));
        Assert.Equal((1, 1), (one.Sidecar.Restarts, other.Sidecar.Restarts));
    }

    [Theory]
    [InlineData("leases are renewed by others")]
    [InlineData("the node has left")]
    [InlineData("nothing has been heard yet")]
    [InlineData("the sidecar is away")]
    [InlineData("the store is away")]
    [InlineData("the location is out of reach")]
    public async Task Silence_alone_is_no_reason(string why)
    {
        var replica = await StartAsync();
        if (why != "nothing has been heard yet")
        {
            await HearAsync(replica, why == "the location is out of reach" ? _node with { Location = Location.Parse("else/where") } : null);
        }

        if (why == "the node has left")
        {
            replica.Watch.Heard(new LeavingEvent { Node = _node, Epoch = 1, Sequence = 1 });
        }

        (replica.Sidecar.IsAway, Store.IsDown) = (why == "the sidecar is away", why == "the store is away");
        for (var i = 0; i < 20; i++)
        {
            if (why == "leases are renewed by others")
            {
                await RenewAsync(replica, _node);
            }

            await PassAsync(TimeSpan.FromSeconds(15));
        }

        Assert.Equal(0, replica.Sidecar.Restarts);
    }

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 0)]
    public async Task A_sidecar_that_came_up_without_the_component_is_restarted_unless_it_gets_it_by_itself(bool hotReloads, int restarts)
    {
        var replica = await StartAsync();
        (replica.Sidecar.HasEvents, replica.Sidecar.HotReloads) = (false, hotReloads);

        await PassAsync(TimeSpan.FromMinutes(2));

        Assert.Equal(restarts, replica.Sidecar.Restarts);
    }

    private async Task<Replica> StartAsync()
    {
        var options = Options.Create(new ResolverOptions());
        var reach = new Reach(options, Options.Create(new ZoneOptions()), NullLogger<Reach>.Instance);
        var cache = new DocumentCache(Store, options, Time, NullLogger<DocumentCache>.Instance);
        var leases = new LeaseBook(Store, cache, new ConflictBackoff(Metrics, Time), options, Time, NullLogger<LeaseBook>.Instance);
        var sidecar = new FakeSidecar { Told = () => reach.Locations };
        sidecar.Start();
        var watch = new SilenceWatch(leases, reach, sidecar, Turns(options), Metrics, options, Time, NullLogger<SilenceWatch>.Instance);
        await StartAsync(watch);
        return new Replica(watch, sidecar, leases);
    }

    private async Task HearAsync(Replica replica, NodeIdentity? node = null)
    {
        replica.Watch.Heard(new HeartbeatEvent { Node = node ?? _node, Epoch = 1, Sequence = 1, Summary = default });
        await RenewAsync(replica, node ?? _node);
    }

    private async Task RenewAsync(Replica replica, NodeIdentity node) => await replica.Leases.UpdateAsync(
        node.Location, node.Name, _ => new Lease(node, 1, Time.GetUtcNow() + new ResolverOptions().LeaseDuration), CancellationToken.None);

    private async Task PassAsync(TimeSpan span)
    {
        for (var left = span; left > TimeSpan.Zero; left -= Step)
        {
            Time.Advance(Step);
            await Task.Delay(1);
        }
    }

    private sealed record Replica(SilenceWatch Watch, FakeSidecar Sidecar, LeaseBook Leases);
}
