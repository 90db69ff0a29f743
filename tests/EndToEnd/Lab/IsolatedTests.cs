using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>Mode <c>isolated</c>: nothing crosses the boundary, also when somebody tries.</summary>
public sealed class IsolatedTests(IsolatedTests.Fixture fixture) : LabTests(fixture), IClassFixture<IsolatedTests.Fixture>
{
    [LabFact]
    public async Task An_image_that_only_the_other_zone_has_comes_from_upstream()
    {
        var image = await PushAsync(3 * MiB, 5 * MiB);
        await HoldAsync(image, ZoneA.Nodes[0]);

        await AssertComesFromAsync(ZoneB.Nodes[0], image, source: null);
    }

    [LabFact]
    public async Task A_neighbour_in_the_zone_still_serves()
    {
        var image = await PushAsync(3 * MiB, 5 * MiB);
        await HoldAsync(image, ZoneA.Nodes[0], ZoneA.Nodes[1]);

        await AssertComesFromAsync(ZoneA.Nodes[1], image, ZoneA);
    }

    [LabFact]
    public async Task A_request_from_across_the_boundary_is_refused_whoever_it_claims_to_be()
    {
        var image = await PushAsync(MiB);
        var holder = ZoneA.Nodes[0];
        await HoldAsync(image, holder);

        var neighbour = await AskAsync(ZoneA.Nodes[1], holder, image, ClaimOf(ZoneA.Nodes[1]));
        var asItself = await AskAsync(ZoneB.Nodes[0], holder, image, ClaimOf(ZoneB.Nodes[0]));
        var asNeighbour = await AskAsync(ZoneB.Nodes[0], holder, image, ClaimOf(ZoneA.Nodes[1]));
        var asContainerd = await AskAsync(ZoneB.Nodes[0], holder, image, claim: null);

        Assert.Equal((HttpStatusCode.OK, image.Layers.Single().Size), (neighbour.Status, neighbour.Body.Length));
        Assert.All(new[] { asItself, asNeighbour, asContainerd }, answer =>
        {
            Assert.True(answer.Status is HttpStatusCode.Forbidden or HttpStatusCode.NotFound, $"The answer is {answer.Status}.");
            Assert.InRange(answer.Body.Length, 0, 1024);
        });
    }

    [LabFact]
    public async Task A_sidecar_lets_nobody_publish_on_another_zones_topic()
    {
        var forged = Forge(ZoneA.Location);

        Assert.Equal(HttpStatusCode.Forbidden, await PublishAsync(ZoneB.Nodes[0], ZoneA.Location, forged));
        Assert.Equal(HttpStatusCode.NoContent, await PublishAsync(ZoneB.Nodes[0], ZoneB.Location, Forge(ZoneB.Location)));

        await AssertNobodyHoldsAsync(ZoneA, forged);
    }

    [LabFact]
    public async Task A_resolver_drops_an_event_of_another_zone_that_has_got_through_to_it()
    {
        var forged = Forge(ZoneB.Location);
        var dropsBefore = await DropsAsync(ZoneA);

        Assert.Equal("DROP", await DeliverAsync(ZoneA, route: ZoneA.Location, topic: ZoneA.Location, forged));
        Assert.Equal("DROP", await DeliverAsync(ZoneA, route: ZoneA.Location, topic: ZoneB.Location, forged));
        Assert.Equal("DROP", await DeliverAsync(ZoneA, route: ZoneB.Location, topic: ZoneB.Location, forged));

        await Eventually.HoldsAsync("all are counted", async () => await DropsAsync(ZoneA) - dropsBefore == 3);
        await AssertNobodyHoldsAsync(ZoneA, forged);
    }

    private static string ClaimOf(Node node) => $"{node.Identity.Location}/{node.Identity.Name}";

    private static async Task<(HttpStatusCode Status, byte[] Body)> AskAsync(Node from, Node holder, TestImage image, string? claim)
    {
        using var http = from.Machine.CreateClient();
        using var request = new HttpRequestMessage(
            HttpMethod.Get, new Uri(holder.Identity.Address.Uri, $"v2/team/any/blobs/{image.Layers.Single().Digest}?ns={Registry.Host}"));
        if (claim is not null)
        {
            request.Headers.Add(SpegelHeaders.Peer, claim);
        }

        using var response = await http.SendAsync(request);
        return (response.StatusCode, await response.Content.ReadAsByteArrayAsync());
    }

    /// <summary>What a node that does not exist would say that it holds.</summary>
    private static SnapshotEvent Forge(Location location) => new()
    {
        Node = new NodeIdentity(NodeName.Parse("ghost"), location, BlobAddress.Parse("http://10.0.2.99:5000")),
        Epoch = 1,
        Sequence = 1,
        Chunk = 0,
        Chunks = 1,
        Keys = [new HeldKey(Digest.OfSha256(Guid.NewGuid().ToByteArray()))],
    };

    private static async Task<HttpStatusCode> PublishAsync(Node publisher, Location topic, SnapshotEvent forged)
    {
        using var http = publisher.Machine.CreateClient();
        using var response = await http.PostAsJsonAsync(
            new Uri(publisher.SidecarHttp, $"v1.0/publish/{DaprNames.LayerEvents}/{LayerTopics.Events(topic)}?metadata.cloudevent.type={forged.Type}"),
            forged,
            ContractsJson.Default.SnapshotEvent);
        return response.StatusCode;
    }

    /// <summary>Delivers an event as a sidecar would, and returns the resolver's answer.</summary>
    private static async Task<string?> DeliverAsync(Zone zone, Location route, Location topic, SnapshotEvent forged)
    {
        using var http = zone.Machine.CreateClient();
        using var response = await http.PostAsJsonAsync(
            new Uri(zone.App, $"v1/events/{route}"),
            new CloudEvent(forged.Type, LayerTopics.Events(topic), JsonSerializer.SerializeToElement(forged, ContractsJson.Default.SnapshotEvent)));
        return (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("status").GetString();
    }

    private static async Task<double> DropsAsync(Zone zone)
    {
        using var http = zone.Machine.CreateClient();
        return await Metrics.SumAsync(http, zone.Telemetry, "spegel_dapr_resolver_events_total", "outcome=\"dropped\"");
    }

    private static async Task AssertNobodyHoldsAsync(Zone zone, SnapshotEvent forged)
    {
        var answer = await zone.Nodes[0].ResolveAsync([.. forged.Keys.Select(held => held.Key)]);
        Assert.All(answer!.Keys, key => Assert.Empty(key.Holders));
    }

    /// <summary>Two zones of one region, each for itself.</summary>
    public sealed class Fixture : ZoneLabFixture
    {
        private protected override IReadOnlyList<LabZone> Zones => [Zone("north/zone-a", 2), Zone("north/zone-b", 1)];

        private protected override bool IsIsolated => true;

        private protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
        {
            ["Zones__Mode"] = "isolated",
            ["Zones__Boundary"] = "zone",
        };
    }
}
