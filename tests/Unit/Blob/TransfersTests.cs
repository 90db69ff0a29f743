using System.Net;
using System.Net.Http.Json;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

/// <summary>What a node remembers of the requests of its containerd.</summary>
public sealed class TransfersTests : BlobTests
{
    private static readonly byte[] Content = TestContent.Bytes(3_000_000);
    private static readonly Digest Whole = Digest.OfSha256(Content);

    [Fact]
    public async Task What_came_from_a_peer_is_remembered_with_whom_it_came_from_and_who_was_passed_over()
    {
        var node = Add(await BlobNode.StartAsync(Resolver, settings: [("Zones:Mode", "preferred"), ("Zones:FarthestTier", "sameRegion")]));
        var near = Add(ScriptedPeer.Good(Content)).AsHolder("near", "eu/b");
        var far = Add(ScriptedPeer.Good(Content)).AsHolder("far", "us/a");
        Resolver.Holds(Whole, far, near);
        Assert.Equal(Content, await node.Http.GetByteArrayAsync(new Uri($"/v2/library/app/blobs/{Whole}?ns=docker.io", UriKind.Relative)));

        var transfer = Assert.Single(await TransfersAsync(node, 1));

        Assert.Equal(("blob", "docker.io", "library/app", "sameRegion"), (transfer.Kind, transfer.Registry, transfer.Repository, transfer.Outcome));
        Assert.Equal((Whole, Content.Length), (transfer.Digest, transfer.Bytes));
        var source = Assert.Single(transfer.Sources);
        Assert.Equal(new RecordedSource(near.Node.Name, near.Node.Location, Tier.SameRegion, Content.Length, IsRelayed: false), source);
        Assert.Equal([(near.Node.Name, true), (far.Node.Name, false)], transfer.Candidates.Select(candidate => (candidate.Node, candidate.IsUsed)));
        Assert.InRange(transfer.FirstByteSeconds!.Value, 0, transfer.Seconds);
    }

    [Fact]
    public async Task Bytes_and_speed_are_counted_by_where_they_came_from()
    {
        var node = Add(await BlobNode.StartAsync(Resolver, settings: [("Zones:Mode", "preferred"), ("Node:Region", "counted")]));
        Resolver.Holds(Whole, Add(ScriptedPeer.Good(Content)).AsHolder("far", "us/a"));
        var local = node.Keep(TestContent.Bytes(1000));
        _ = await node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{Whole}?ns=docker.io", UriKind.Relative));
        _ = await node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{local}?ns=docker.io", UriKind.Relative));

        await AssertMetricAsync(node, Content.Length, "spegel_dapr_blob_served_bytes_total", "from_region=\"us\"", "from_zone=\"a\"", "tier=\"crossRegion\"");
        await AssertMetricAsync(node, 1000, "spegel_dapr_blob_served_bytes_total", "from_region=\"counted\"", "from_zone=\"a\"", "tier=\"local\"");
        await AssertMetricAsync(node, 1, "spegel_dapr_blob_throughput_bytes_per_second_count", "tier=\"crossRegion\"", "size=\"16MiB\"");
        await AssertMetricAsync(node, 1, "spegel_dapr_blob_first_byte_seconds_count", "tier=\"local\"", "size=\"64KiB\"");
        var now = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        Assert.InRange(await node.MetricAsync("spegel_dapr_blob_answered_seconds", "region=\"counted\""), now - 60, now + 1);
        Assert.InRange(await node.MetricAsync("spegel_dapr_blob_resolver_answered_seconds", "region=\"counted\""), now - 60, now + 1);
    }

    [Fact]
    public async Task A_miss_is_remembered_with_what_containerd_then_fetched_itself()
    {
        var node = Add(await BlobNode.StartAsync(Resolver, settings: ("Node:Region", "counted")));
        using var miss = await node.GetAsync($"/v2/app/blobs/{Whole}?ns=docker.io");
        Assert.Equal(HttpStatusCode.NotFound, miss.StatusCode);
        node.Keep(Content);
        File.SetLastWriteTimeUtc(node.PathOf(Whole), DateTime.UtcNow.AddSeconds(5));

        RecordedTransfer? transfer = null;
        for (var deadline = DateTime.UtcNow.AddSeconds(30); transfer?.Upstream is null; await Task.Delay(50))
        {
            Assert.True(DateTime.UtcNow < deadline, "Nothing is known of upstream.");
            transfer = Assert.Single(await TransfersAsync(node, 1));
        }

        Assert.Equal(("miss", 0, Content.Length), (transfer.Outcome, transfer.Bytes, transfer.Upstream.Bytes));
        Assert.InRange(transfer.Upstream.Seconds, 4, 6);
        Assert.Equal("nobody in reach holds it", transfer.Reason);
        await AssertMetricAsync(node, Content.Length, "spegel_dapr_blob_upstream_bytes_total", "registry=\"docker.io\"", "zone=\"a\"");
        await AssertMetricAsync(node, 1, "spegel_dapr_blob_upstream_throughput_bytes_per_second_count", "registry=\"docker.io\"", "size=\"16MiB\"");
    }

    [Fact]
    public async Task Requests_for_a_tag_that_nobody_knows_are_remembered_and_the_oldest_are_forgotten()
    {
        var node = Add(await BlobNode.StartAsync(Resolver));
        for (var i = 0; i < RecordedTransfers.MaxTransfers + 5; i++)
        {
            using var miss = await node.SendAsync(HttpMethod.Head, $"/v2/app/manifests/v{i}?ns=docker.io");
        }

        var transfers = await TransfersAsync(node, RecordedTransfers.MaxTransfers);

        Assert.Equal(RecordedTransfers.MaxTransfers, transfers.Count);
        Assert.Equal(($"v{RecordedTransfers.MaxTransfers + 4}", "v5"), (transfers[0].Tag, transfers[^1].Tag));
        Assert.Null(transfers[0].Digest);
    }

    [Fact]
    public async Task What_another_node_asks_is_not_a_pull_and_only_the_node_itself_is_told()
    {
        var node = Add(await BlobNode.StartAsync(Resolver));
        var digest = node.Keep(Content);
        using var peer = await node.GetAsync($"/v2/app/blobs/{digest}", (SpegelHeaders.Peer, "eu/a/node-b"));
        Assert.Equal(HttpStatusCode.OK, peer.StatusCode);

        using var elsewhere = await node.GetAsync(RecordedTransfers.Path, (BlobNode.ComesFrom, "10.1.2.3"));
        using var claimed = await node.GetAsync(RecordedTransfers.Path, (SpegelHeaders.Peer, "eu/a/node-b"));

        Assert.Equal(HttpStatusCode.Forbidden, elsewhere.StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, claimed.StatusCode);
        using var own = await node.GetAsync($"/v2/mine/blobs/{digest}");
        Assert.Equal("mine", Assert.Single(await TransfersAsync(node, 1)).Repository);
    }

    /// <summary>The client has all bytes a moment before the request ends.</summary>
    private static async Task<IReadOnlyList<RecordedTransfer>> TransfersAsync(BlobNode node, int count)
    {
        for (var deadline = DateTime.UtcNow.AddSeconds(10); ; await Task.Delay(20))
        {
            var recorded = await node.Http.GetFromJsonAsync(new Uri(RecordedTransfers.Path, UriKind.Relative), ContractsJson.Default.RecordedTransfers);
            if (recorded!.Transfers.Count >= count || DateTime.UtcNow > deadline)
            {
                return recorded.Transfers;
            }
        }
    }

    /// <summary>Waits: what has been scraped a moment ago is given again. The region tells the node from services of other tests in this process.</summary>
    private static async Task AssertMetricAsync(BlobNode node, double expected, string name, params string[] labels)
    {
        double value;
        for (var deadline = DateTime.UtcNow.AddSeconds(10); (value = await node.MetricAsync(name, [.. labels, "region=\"counted\""])) < expected && DateTime.UtcNow < deadline;)
        {
            await Task.Delay(50);
        }

        Assert.Equal(expected, value);
    }
}
