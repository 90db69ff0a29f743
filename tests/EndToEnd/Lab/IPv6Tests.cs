using System.Net;
using System.Net.Sockets;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>Machines with addresses of IPv6 alone, as pods of such a cluster are; mode <c>isolated</c>, so that a peer is known by its address.</summary>
[Trait("Suite", "containerd")]
[Trait("Needs", "containerd-2")]
public sealed class IPv6Tests(IPv6Tests.Fixture fixture) : LabTests(fixture), IClassFixture<IPv6Tests.Fixture>
{
    [IPv6Fact]
    public async Task A_neighbour_serves_what_has_been_pulled_once()
    {
        var image = await PushAsync(3 * MiB, 5 * MiB);
        await HoldAsync(image, ZoneA.Nodes[0], ZoneA.Nodes[1]);

        await AssertComesFromAsync(ZoneA.Nodes[1], image, ZoneA);

        Assert.All(Lab.Cluster.Nodes, node => Assert.Equal(AddressFamily.InterNetworkV6, node.Machine.Ip.AddressFamily));
        await ZoneA.Nodes[1].HasServedAsync(Tier.SameZone, image.BlobBytes);
        Assert.Equal(0, await ZoneA.Nodes[0].MetricAsync("spegel_dapr_blob_denied_total"));
    }

    [IPv6Fact]
    public async Task The_kubelets_interface_pulls_from_a_neighbour_by_tag()
    {
        var image = await PushAsync(2 * MiB);
        await HoldAsync(image, ZoneA.Nodes[0], ZoneA.Nodes[1]);
        var upstreamRequests = Lab.Cluster.Registry.BlobRequests;

        await ZoneA.Nodes[1].Containerd.CriPullAsync(image.Reference);

        Assert.Equal(upstreamRequests, Lab.Cluster.Registry.BlobRequests);
    }

    [IPv6Fact]
    public async Task A_node_is_told_by_its_address_from_one_that_claims_its_name()
    {
        var image = await PushAsync(MiB);
        await HoldAsync(image, ZoneA.Nodes[0]);

        Assert.Equal(HttpStatusCode.OK, await AskAsNeighbourAsync(ZoneA.Nodes[1], image));
        Assert.Equal(HttpStatusCode.Forbidden, await AskAsNeighbourAsync(ZoneB.Nodes[0], image));
    }

    /// <summary>Asks zone A's first node, and claims to be its second one.</summary>
    private async Task<HttpStatusCode> AskAsNeighbourAsync(Node from, TestImage image)
    {
        using var http = from.Machine.CreateClient();
        using var request = new HttpRequestMessage(
            HttpMethod.Get, new Uri(ZoneA.Nodes[0].Identity.Address.Uri, $"v2/team/any/blobs/{image.Layers.Single().Digest}?ns={Registry.Host}"));
        request.Headers.Add(SpegelHeaders.Peer, new PeerClaim(ZoneA.Location, ZoneA.Nodes[1].Identity.Name).ToString());
        using var response = await http.SendAsync(request);
        return response.StatusCode;
    }

    /// <summary>Two zones, each for itself.</summary>
    public sealed class Fixture : ZoneLabFixture
    {
        private protected override IReadOnlyList<LabZone> Zones => [Zone("north/zone-a", 2), Zone("north/zone-b", 1)];

        private protected override bool IsIsolated => true;

        private protected override bool IsIPv6 => true;

        private protected override bool CanRun => IPv6FactAttribute.CanRun;

        private protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
        {
            ["Zones__Mode"] = "isolated",
            ["Zones__Boundary"] = "zone",
        };
    }
}
