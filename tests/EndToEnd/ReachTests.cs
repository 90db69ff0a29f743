using System.Text;
using SpegelDapr.Cli.Components;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.EndToEnd;

/// <summary>Zones come and go while resolvers run whose reach is all zones of the cluster's nodes.</summary>
public sealed class ReachTests
{
    private static readonly Location Near = Location.Parse("test/zone-b");
    private static readonly Location Far = Location.Parse("other/zone-c");

    [Fact]
    public Task A_new_zone_is_reached_without_a_restart() => ReachesAsync(Backend.InMemory);

    [Fact]
    public async Task Without_hot_reload_a_new_zone_is_reached_without_a_restart_by_hand_where_zones_have_stores_of_their_own()
    {
        // With a prefix for each app id the store of one zone's resolvers holds nothing for another's; and its broker forgets what nobody hears.
        using var directory = new TestDirectory();
        var resources = directory.Sub("components");
        foreach (var file in Backend.InMemoryResources.SelectMany(folder => Directory.EnumerateFiles(folder, "*.yaml")))
        {
            File.WriteAllText(
                Path.Combine(resources, Path.GetFileName(file)),
                (await File.ReadAllTextAsync(file)).Replace("value: none", "value: appid", StringComparison.Ordinal));
        }

        await ReachesByRestartsAsync([resources]);
    }

    [RealFact]
    public Task A_new_zone_is_reached_without_a_restart_on_Redis() => ReachesAsync(Backend.Redis);

    [Fact]
    public Task Without_hot_reload_a_new_zone_is_reached_without_a_restart_by_hand() => ReachesByRestartsAsync(Backend.InMemory);

    [RealFact]
    public Task Without_hot_reload_a_new_zone_is_reached_without_a_restart_by_hand_on_Redis() => ReachesByRestartsAsync(Backend.Redis);

    /// <summary>What README says of a new zone: the resources are written anew with all zones, and nothing else is done.</summary>
    private static async Task ReachesAsync(string set)
    {
        using var directory = new TestDirectory();
        await using var backend = new Backend(directory, set: set);
        await backend.StartAsync();
        string Write(params Location[] zones)
        {
            // With a prefix for each app id the store of one zone's resolvers holds nothing for another's: what is offered must have been heard.
            var folder = backend.WriteResources(ScopedZone.All(zones, new ZoneOptions()));
            var store = Path.Combine(folder, "holder-store.yaml");
            File.WriteAllText(store, File.ReadAllText(store).Replace("value: none", "value: appid", StringComparison.Ordinal));
            return folder;
        }

        await using var zone = await InProcessZone.StartAsync([Write(InProcessZone.Location)], nodes: 1, reach: "*");
        var near = await zone.AddNodeAsync("near", Near);
        foreach (var node in zone.Nodes)
        {
            await AddLayerAsync(node, "first");
            await node.Discovery.StartAsync();
        }

        zone.See(InProcessZone.Location, Near);
        await AssertOfferedAsync(zone, "first", "node-1 sameZone");

        Write(InProcessZone.Location, Near);
        await zone.StartOtherResolverAsync(Near);
        await AssertOfferedAsync(zone, "first", "near sameRegion, node-1 sameZone");

        var far = await zone.AddNodeAsync("far", Far);
        Write(InProcessZone.Location, Near, Far);
        await AddLayerAsync(far, "first");
        await far.Discovery.StartAsync();
        await zone.StartOtherResolverAsync(Far);
        zone.See(InProcessZone.Location, Near, Far);
        await AssertOfferedAsync(zone, "first", "far crossRegion, near sameRegion, node-1 sameZone");

        zone.See(InProcessZone.Location, Near);
        await AssertOfferedAsync(zone, "first", "near sameRegion, node-1 sameZone");
        Assert.Equal(0, zone.SidecarRestarts);
    }

    private static async Task ReachesByRestartsAsync(string set)
    {
        using var directory = new TestDirectory();
        await using var backend = new Backend(directory, set: set);
        await backend.StartAsync();
        await ReachesByRestartsAsync([backend.WriteResources()]);
    }

    private static async Task ReachesByRestartsAsync(IReadOnlyList<string> resources)
    {
        await using var zone = await InProcessZone.StartAsync(resources, nodes: 1, reach: "*", hotReload: false);
        await zone.StartOtherResolverAsync(Near);
        await zone.StartOtherResolverAsync(Far);
        var near = await zone.AddNodeAsync("near", Near);
        var far = await zone.AddNodeAsync("far", Far);
        foreach (var node in zone.Nodes)
        {
            await AddLayerAsync(node, "first");
            await node.Discovery.StartAsync();
        }

        await AssertOfferedAsync(zone, "first", "node-1 sameZone");

        zone.See(InProcessZone.Location, Near, Far);
        await AssertOfferedAsync(zone, "first", "far crossRegion, near sameRegion, node-1 sameZone");

        // With a shared store they are offered before they are heard.
        await Eventually.HoldsAsync("a sidecar has been restarted", () => zone.SidecarRestarts == 1);

        zone.See(InProcessZone.Location, Near);
        await AssertOfferedAsync(zone, "first", "near sameRegion, node-1 sameZone");

        await zone.RestartResolverSidecarsAsync();
        await AddLayerAsync(near, "second");
        await AddLayerAsync(far, "second");
        await AssertOfferedAsync(zone, "second", "near sameRegion");
        Assert.Equal(3, zone.SidecarRestarts);
    }

    private static Task<OciDescriptor> AddLayerAsync(InProcessNode node, string text) =>
        node.Layout.AddAsync(OciMediaTypes.LayerGzip, stream => stream.WriteAsync(Encoding.UTF8.GetBytes(text)).AsTask());

    /// <summary>Both replicas come to offer just these holders.</summary>
    private static async Task AssertOfferedAsync(InProcessZone zone, string layer, string expected)
    {
        var offered = "";
        try
        {
            await Eventually.HoldsAsync(expected, async () => (offered = await ReadAsync()) == expected && await ReadAsync() == expected, TimeSpan.FromSeconds(30));
        }
        catch (TimeoutException e)
        {
            Assert.Fail($"Not offered: {expected}; instead: {offered}. {e.InnerException?.Message}");
        }

        async Task<string> ReadAsync()
        {
            var answer = Assert.Single(await zone.ResolveAsync([ContentKey.FromDigest(Digest.OfSha256(Encoding.UTF8.GetBytes(layer)))]));
            return string.Join(", ", answer.Holders.Select(holder => $"{holder.Node.Name} {holder.Tier.Name()}").Order(StringComparer.Ordinal));
        }
    }
}
