using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;
using SpegelDapr.Resolver.Subscribing;

namespace SpegelDapr.Unit.Resolver;

/// <summary>Sidecars that deliver nothing any more.</summary>
public sealed class SilenceWatchTests : SidecarTests
{
    private static readonly TimeSpan Step = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan HeartbeatInterval = TimeSpan.FromSeconds(10);

    private readonly NodeIdentity _node = new(NodeName.Parse("node-1"), Location.Default, BlobAddress.Parse("http://node-1.example:5000"));

    [Fact]
    public async Task When_nodes_ask_and_none_of_them_is_heard_the_sidecar_is_restarted_and_then_not_soon_again()
    {
        var replica = await StartAsync();

        await PassAsync(TimeSpan.FromSeconds(175), replica.Asked);
        Assert.Equal(0, replica.Sidecar.Restarts);
        await PassAsync(TimeSpan.FromSeconds(40), replica.Asked);
        Assert.Equal(1, replica.Sidecar.Restarts);

        await PassAsync(TimeSpan.FromMinutes(14), replica.Asked);
        Assert.Equal(1, replica.Sidecar.Restarts);
        await PassAsync(TimeSpan.FromMinutes(2), replica.Asked);
        Assert.Equal(2, replica.Sidecar.Restarts);
    }

    [Fact]
    public async Task A_broker_that_stays_away_is_given_up()
    {
        var replica = await StartAsync();
        replica.Heard(_node);

        await PassAsync(TimeSpan.FromHours(1.2), replica.Asked);
        var restarts = replica.Sidecar.Restarts;
        await PassAsync(TimeSpan.FromHours(1), replica.Asked);

        Assert.InRange(restarts, 3, 4);
        Assert.Equal(restarts, replica.Sidecar.Restarts);
    }

    [Fact]
    public async Task Replicas_take_turns()
    {
        var (one, other) = (await StartAsync(), await StartAsync());

        await PassAsync(TimeSpan.FromSeconds(215), one.Asked, other.Asked);
        Assert.Equal(1, one.Sidecar.Restarts + other.Sidecar.Restarts);
        await PassAsync(TimeSpan.FromSeconds(95), one.Asked, other.Asked);
        Assert.Equal((1, 1), (one.Sidecar.Restarts, other.Sidecar.Restarts));
    }

    [Fact]
    public async Task A_sidecar_that_is_deaf_to_its_own_location_alone_is_restarted()
    {
        var replica = await StartAsync();
        var other = _node with { Location = Location.Parse("else/where") };

        await PassAsync(TimeSpan.FromSeconds(215), replica.Asked, () => replica.Heard(other), () => replica.Renew(other));

        Assert.Equal(1, replica.Sidecar.Restarts);
    }

    [Fact]
    public async Task In_a_zone_without_nodes_silence_counts_from_when_there_are_some()
    {
        var replica = await StartAsync();
        Time.Advance(TimeSpan.FromHours(2));
        await PassAsync(TimeSpan.FromMinutes(1));

        await PassAsync(TimeSpan.FromSeconds(150), replica.Asked);
        Assert.Equal(0, replica.Sidecar.Restarts);
        await PassAsync(TimeSpan.FromSeconds(90), replica.Asked);
        Assert.Equal(1, replica.Sidecar.Restarts);
    }

    [Theory]
    [InlineData("nodes are heard")]
    [InlineData("leases are renewed by others")]
    [InlineData("the nodes have gone")]
    [InlineData("the sidecar is away")]
    [InlineData("the store is away")]
    [InlineData("the sidecar is not told the own location")]
    public async Task Silence_alone_is_no_reason(string why)
    {
        var replica = await StartAsync();
        replica.Heard(_node);
        replica.Renew(_node);
        await PassAsync(TimeSpan.FromSeconds(60), replica.Asked);
        (replica.Sidecar.IsAway, Store.IsDown) = (why == "the sidecar is away", why == "the store is away");
        if (why == "the sidecar is not told the own location")
        {
            replica.Sidecar.Topics = [LayerTopics.Events(Location.Parse("else/where"))];
        }

        await PassAsync(TimeSpan.FromMinutes(10), () =>
        {
            if (why != "the nodes have gone")
            {
                replica.Asked();
            }

            if (why == "nodes are heard")
            {
                replica.Heard(_node);
            }

            if (why == "leases are renewed by others")
            {
                replica.Renew(_node);
            }
        });

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
        var cache = new DocumentCache(Store, options, Time, NullLogger<DocumentCache>.Instance);
        var leases = new LeaseBook(Store, cache, new ConflictBackoff(Metrics, Time), options, Time, NullLogger<LeaseBook>.Instance);
        var sidecar = new FakeSidecar { Told = () => [Location.Default] };
        sidecar.Start();
        var watch = new SilenceWatch(leases, sidecar, Turns(options), Metrics, options, Time, NullLogger<SilenceWatch>.Instance);
        await StartAsync(watch);
        return new Replica(watch, sidecar, leases, _node, Time);
    }

    /// <summary>Lets time pass, in which something happens as often as heartbeats do.</summary>
    private async Task PassAsync(TimeSpan span, params Action[] heartbeats)
    {
        for (var passed = TimeSpan.Zero; passed < span; passed += Step)
        {
            if (passed.Ticks % HeartbeatInterval.Ticks == 0)
            {
                Array.ForEach(heartbeats, happens => happens());
            }

            Time.Advance(Step);
            await Task.Delay(1);
        }
    }

    private sealed record Replica(SilenceWatch Watch, FakeSidecar Sidecar, LeaseBook Leases, NodeIdentity Node, TimeProvider Time)
    {
        /// <summary>The node asks it.</summary>
        public void Asked() => Watch.Asked(Node.Name);

        /// <summary>It hears a heartbeat, of which nothing else comes.</summary>
        public void Heard(NodeIdentity node) => Watch.Heard(new HeartbeatEvent { Node = node, Epoch = 1, Sequence = 1, Summary = default });

        /// <summary>A replica renews a node's lease.</summary>
        public void Renew(NodeIdentity node) => Leases.UpdateAsync(
            node.Location, node.Name, _ => new Lease(node, 1, Time.GetUtcNow() + new ResolverOptions().LeaseDuration), CancellationToken.None).GetAwaiter().GetResult();
    }
}
