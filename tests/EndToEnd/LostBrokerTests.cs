using System.Text;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary>Sidecars that never find their broker again, though they answer and their health says nothing of it; another start cures them.</summary>
public sealed class LostBrokerTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task A_node_whose_events_are_not_taken_has_its_sidecar_restart()
    {
        await using var zone = await InProcessZone.StartAsync(Backend.InMemoryResources, nodes: 0);
        var node = await zone.AddNodeAsync("node", InProcessZone.Location, haste: 30);
        await node.Discovery.StartAsync();
        await AssertOfferedAsync(zone, node, "first");

        await node.Discovery.Sidecar.LoseBrokersAsync();

        await AssertOfferedAsync(zone, node, "second");
        Assert.Equal(1, zone.SidecarRestarts);
    }

    [Fact]
    public async Task A_zone_whose_resolvers_hear_nothing_has_their_sidecars_restart_in_turn()
    {
        await using var zone = await InProcessZone.StartAsync(Backend.InMemoryResources, nodes: 1);
        var node = zone.Nodes[0];
        await node.Discovery.StartAsync();
        await AssertOfferedAsync(zone, node, "first");

        await zone.LoseResolversBrokersAsync();

        await AssertOfferedAsync(zone, node, "second");
        Assert.Equal(1, zone.SidecarRestarts);
    }

    private static async Task AssertOfferedAsync(InProcessZone zone, InProcessNode node, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        await node.Layout.AddAsync(OciMediaTypes.LayerGzip, stream => stream.WriteAsync(bytes).AsTask());
        await Eventually.HoldsAsync(
            $"{text} is offered",
            async () => Assert.Single(await zone.ResolveAsync([ContentKey.FromDigest(Digest.OfSha256(bytes))])).Holders.Count == 1,
            Deadline);
    }
}
