using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver;
using SpegelDapr.Resolver.Subscribing;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit.Resolver;

public sealed class ResubscriptionTests : SidecarTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(500);
    private static readonly Location Own = Location.Parse("eu/a");
    private static readonly Location Near = Location.Parse("eu/b");
    private static readonly Location Far = Location.Parse("us/x");

    private readonly CollectingLogger _logger = new();

    [Fact]
    public async Task When_locations_come_into_reach_the_sidecar_is_restarted_once_for_all_of_them()
    {
        var replica = await StartAsync([Own]);

        replica.Reach.Seen([Own, Near]);
        replica.Reach.Seen([Own, Near, Far]);
        await UntilAsync(() => replica.Sidecar.IsSubscribedTo(Own, Near, Far));

        Assert.Equal(1, replica.Sidecar.Restarts);
    }

    [Fact]
    public async Task What_is_outside_the_boundary_is_never_subscribed_to()
    {
        var replica = await StartAsync([Own], new ZoneOptions { Mode = "isolated", Boundary = "region" });

        replica.Reach.Seen([Own, Far]);
        replica.Reach.Seen([Own, Far, Near]);
        await UntilAsync(() => replica.Sidecar.IsSubscribedTo(Own, Near));

        Assert.False(replica.Sidecar.IsSubscribedTo(Far));
    }

    [Fact]
    public async Task A_sidecar_that_is_subscribed_already_stays_as_it_is()
    {
        var replica = await StartAsync([Own, Near, Far]);

        replica.Reach.Seen([Own, Near]);
        await UntilAsync(() => replica.Sidecar.Reads == 2);
        replica.Reach.Seen([Own, Near, Far]);
        await UntilAsync(() => replica.Sidecar.Reads == 3);

        Assert.Equal(0, replica.Sidecar.Restarts);
    }

    [Fact]
    public async Task A_location_that_leaves_and_comes_back_is_no_reason_for_a_restart()
    {
        var replica = await StartAsync([Own]);
        replica.Reach.Seen([Own, Near]);
        await UntilAsync(() => replica.Sidecar.IsSubscribedTo(Near));
        var reads = replica.Sidecar.Reads;

        replica.Reach.Seen([Own]);
        await UntilAsync(() => replica.Sidecar.Reads > reads);
        replica.Reach.Seen([Own, Near]);
        await UntilAsync(() => replica.Sidecar.Reads > reads + 1);

        Assert.Equal(1, replica.Sidecar.Restarts);
    }

    [Fact]
    public async Task A_sidecar_with_hot_reload_is_left_alone_until_it_is_told_and_what_to_apply_is_said_once()
    {
        var replica = await StartAsync([], hotReloads: true, declared: [Own]);

        replica.Reach.Seen([Own, Near]);
        var reads = replica.Sidecar.Reads;
        await UntilAsync(() => replica.Sidecar.Reads >= reads + 5);
        Assert.Contains("does not hear eu/b: apply", Assert.Single(_logger.Warnings), StringComparison.Ordinal);

        replica.Sidecar.Declared = [LayerTopics.Events(Own), LayerTopics.Events(Near)];
        reads = replica.Sidecar.Reads;
        await UntilAsync(() => replica.Sidecar.Reads > reads);
        replica.Reach.Seen([Own, Near, Far]);
        reads = replica.Sidecar.Reads;
        await UntilAsync(() => replica.Sidecar.Reads >= reads + 3);

        Assert.Equal(2, _logger.Warnings.Count);
        Assert.Equal(0, replica.Sidecar.Restarts);
    }

    [Fact]
    public async Task A_sidecar_with_hot_reload_to_which_nothing_is_declared_is_restarted_as_one_without()
    {
        var replica = await StartAsync([Own], hotReloads: true);

        replica.Reach.Seen([Own, Near]);
        await UntilAsync(() => replica.Sidecar.IsSubscribedTo(Own, Near));

        Assert.Equal(1, replica.Sidecar.Restarts);
        Assert.Empty(_logger.Warnings);
    }

    [Fact]
    public async Task What_is_not_declared_of_a_fixed_reach_is_said_too()
    {
        var replica = await StartAsync([], hotReloads: true, declared: [Own], reach: "eu/b");

        await UntilAsync(() => replica.Sidecar.Reads >= 3);

        Assert.Contains("does not hear eu/b: apply", Assert.Single(_logger.Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_sidecar_that_knows_what_is_declared_and_has_not_asked_yet_is_waited_for()
    {
        var replica = await StartAsync([]);
        replica.Sidecar.Declared = [LayerTopics.Events(Own)];

        replica.Reach.Seen([Own, Near]);
        var reads = replica.Sidecar.Reads;
        await UntilAsync(() => replica.Sidecar.Reads >= reads + 3);

        Assert.Equal(0, replica.Sidecar.Restarts);
    }

    [Fact]
    public async Task A_sidecar_that_has_not_asked_yet_is_waited_for()
    {
        var replica = await StartAsync([]);

        await UntilAsync(() => replica.Sidecar.Reads == 3);
        Assert.Equal(0, replica.Sidecar.Restarts);

        replica.Sidecar.Start();
        await UntilAsync(() => replica.Sidecar.Reads == 4);
        Assert.Equal(0, replica.Sidecar.Restarts);
    }

    [Fact]
    public async Task Replicas_restart_their_sidecars_one_after_the_other()
    {
        var one = await StartAsync([Own]);
        var other = await StartAsync([Own]);
        var started = Time.GetUtcNow();

        one.Reach.Seen([Own, Near]);
        other.Reach.Seen([Own, Near]);
        await UntilAsync(() => one.Sidecar.Restarts + other.Sidecar.Restarts == 1);
        Assert.True(Time.GetUtcNow() - started < RestartTurns.Length, "The first does not wait.");
        await UntilAsync(() => one.Sidecar.Restarts + other.Sidecar.Restarts == 2);

        Assert.True(Time.GetUtcNow() - started >= RestartTurns.Length, "The second waits for its turn.");
        Assert.Equal((1, 1), (one.Sidecar.Restarts, other.Sidecar.Restarts));
    }

    [Fact]
    public async Task A_sidecar_that_nobody_starts_again_is_not_asked_again_and_again()
    {
        var replica = await StartAsync([Own]);
        replica.Sidecar.StaysAway = true;

        replica.Reach.Seen([Own, Near]);
        await UntilAsync(() => replica.Sidecar.Restarts == 1);
        var reads = replica.Sidecar.Reads;
        await UntilAsync(() => replica.Sidecar.Reads == reads + 3);
        replica.Sidecar.Start();
        await UntilAsync(() => replica.Sidecar.Reads == reads + 4);

        Assert.Equal(1, replica.Sidecar.Restarts);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task While_the_sidecar_or_theStore_does_not_answer_it_tries_again(bool isStore)
    {
        var replica = await StartAsync([Own]);
        (Store.IsDown, replica.Sidecar.IsAway) = (isStore, !isStore);

        replica.Reach.Seen([Own, Near]);
        var reads = replica.Sidecar.Reads;
        await UntilAsync(() => replica.Sidecar.Reads >= reads + 2);
        Assert.Equal(0, replica.Sidecar.Restarts);

        (Store.IsDown, replica.Sidecar.IsAway) = (false, false);
        await UntilAsync(() => replica.Sidecar.IsSubscribedTo(Near));
        Assert.Equal(1, replica.Sidecar.Restarts);
    }

    /// <summary>A replica that has seen the nodes of its own zone, and whose sidecar the app has told these locations, and resources those that are declared.</summary>
    private async Task<Replica> StartAsync(Location[] subscribed, ZoneOptions? zones = null, bool hotReloads = false, Location[]? declared = null, string reach = "*")
    {
        var options = Options.Create(new ResolverOptions { Region = Own.Region, Zone = Own.Zone, Reach = { reach } });
        var locations = new Reach(options, Options.Create(zones ?? new()), NullLogger<Reach>.Instance);
        var sidecar = new FakeSidecar
        {
            Told = () => locations.Locations,
            Topics = [.. subscribed.Select(LayerTopics.Events)],
            Declared = [.. (declared ?? []).Select(LayerTopics.Events)],
            HotReloads = hotReloads,
        };
        var replica = new Replica(locations, sidecar, new Resubscription(
            locations,
            sidecar,
            Turns(options),
            Metrics,
            Time,
            _logger));
        await StartAsync(replica.Resubscription);
        locations.Seen([Own]);
        await UntilAsync(() => sidecar.Reads > 0);
        return replica;
    }

    private async Task UntilAsync(Func<bool> condition)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(started) < Deadline, "It does not come about.");
            Time.Advance(Step);
            await Task.Delay(TimeSpan.FromMilliseconds(1));
        }
    }

    private sealed record Replica(Reach Reach, FakeSidecar Sidecar, Resubscription Resubscription);
}
