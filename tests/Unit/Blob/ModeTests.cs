using System.Net;
using System.Text.Json;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

/// <summary>Which holders a node in <c>eu/a</c> asks, and whom it serves, by its mode.</summary>
public sealed class ModeTests : BlobTests
{
    private readonly byte[] _content = TestContent.Bytes(1000);

    [Theory]
    [InlineData("isolated", "zone", "eu/b", false)]
    [InlineData("isolated", "zone", "eu/a", true)]
    [InlineData("isolated", "region", "eu/b", true)]
    [InlineData("isolated", "region", "us/a", false)]
    [InlineData("preferred", "zone", "us/a", true)]
    [InlineData("adaptive", "zone", "us/a", true)]
    public async Task A_holder_is_asked_only_inside_the_boundary(string mode, string boundary, string holderAt, bool isAsked)
    {
        var holder = Add(ScriptedPeer.Good(_content));
        var node = await NodeAsync(("Zones:Mode", mode), ("Zones:Boundary", boundary));

        using var response = await GetAsync(node, holder.AsHolder("holder", holderAt));

        Assert.Equal(isAsked ? HttpStatusCode.OK : HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal(isAsked ? 1 : 0, holder.Calls);
        Assert.Equal(isAsked ? 0 : 1, await node.MetricAsync("spegel_dapr_blob_requests_total", "outcome=\"bypassed\""));
    }

    [Theory]
    [InlineData("sameZone", "eu/b", false)]
    [InlineData("sameRegion", "eu/b", true)]
    [InlineData("sameRegion", "us/a", false)]
    public async Task Nobody_beyond_the_farthest_tier_is_asked(string farthest, string holderAt, bool isAsked)
    {
        var holder = Add(ScriptedPeer.Good(_content));
        var node = await NodeAsync(("Zones:FarthestTier", farthest));

        using var response = await GetAsync(node, holder.AsHolder("holder", holderAt));

        Assert.Equal(isAsked ? 1 : 0, holder.Calls);
    }

    [Fact]
    public async Task A_farther_tier_is_asked_when_no_nearer_holder_can_give_the_content()
    {
        var broken = Add(new ScriptedPeer(call => call.SendRawAsync("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")));
        var (region, far) = (Add(ScriptedPeer.Good(_content)), Add(ScriptedPeer.Good(_content)));
        var node = await NodeAsync();

        using var response = await GetAsync(node, far.AsHolder("far", "us/a"), region.AsHolder("region", "eu/b"), broken.AsHolder("near"));

        Assert.Equal("sameRegion", response.Headers.GetValues(SpegelHeaders.Tier).Single());
        Assert.Equal((1, 1, 0), (broken.Calls, region.Calls, far.Calls));
    }

    [Fact]
    public async Task A_near_holder_that_is_a_little_slow_sends_nobody_farther()
    {
        var far = Add(ScriptedPeer.Good(_content));
        var slow = Add(new ScriptedPeer(async call =>
        {
            await Task.Delay(TimeSpan.FromMilliseconds(300), call.Stopping);
            await call.SendAsync(_content);
        }));
        var node = await NodeAsync(("Blob:HedgeDelay", "00:00:00.010"), ("Blob:PeerConnectBudget", "00:00:10"), ("Blob:PeerStartBudget", "00:00:30"));

        using var response = await GetAsync(node, slow.AsHolder("slow"), far.AsHolder("far", "eu/b"));

        Assert.Equal("sameZone", response.Headers.GetValues(SpegelHeaders.Tier).Single());
        Assert.Equal(0, far.Calls);
    }

    [Fact]
    public async Task A_near_holder_that_hangs_is_given_up_for_a_farther_one()
    {
        var far = Add(ScriptedPeer.Good(_content));
        var node = await NodeAsync(("Blob:PeerConnectBudget", "00:00:00.200"), ("Blob:PeerStartBudget", "00:00:30"));

        using var response = await GetAsync(node, Add(new ScriptedPeer(call => call.StallAsync())).AsHolder("hanging"), far.AsHolder("far", "eu/b"));

        Assert.Equal("sameRegion", response.Headers.GetValues(SpegelHeaders.Tier).Single());
    }

    [Fact]
    public async Task The_tier_is_that_of_the_holders_location_whatever_the_answer_says()
    {
        var holder = Add(ScriptedPeer.Good(_content));
        var node = await NodeAsync(("Zones:Mode", "isolated"));

        using var response = await GetAsync(node, holder.AsHolder("liar", "us/a") with { Tier = Tier.SameZone });

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal(0, holder.Calls);
    }

    [Fact]
    public async Task What_comes_from_upstream_is_checked_before_another_node_asks()
    {
        var node = await NodeAsync();
        var digest = Digest.OfSha256(TestContent.Bytes(100));
        using var missed = await node.GetAsync($"/v2/app/blobs/{digest}?ns=docker.io");

        // A file's time may be some milliseconds early, and what is there before the miss has not come because of it.
        var written = Path.Combine(node.Directory, "written");
        await File.WriteAllBytesAsync(written, TestContent.Bytes(100, seed: 2));
        File.SetLastWriteTimeUtc(written, DateTime.UtcNow.AddSeconds(1));
        File.Move(written, node.PathOf(digest));

        for (var deadline = DateTime.UtcNow.AddSeconds(30); await node.MetricAsync("spegel_dapr_blob_corrupt_total", "where=\"local\"") == 0;)
        {
            Assert.True(DateTime.UtcNow < deadline, "Nobody has looked at it.");
            await Task.Delay(50);
        }
    }

    [Fact]
    public async Task Upstream_is_measured_by_the_time_of_the_file_that_containerd_commits_after_a_miss()
    {
        var node = await NodeAsync(("Zones:Mode", "adaptive"));
        var digest = Digest.OfSha256(_content);
        using var miss = await node.GetAsync($"/v2/app/blobs/{digest}?ns=docker.io");
        Assert.Equal(HttpStatusCode.NotFound, miss.StatusCode);

        node.Keep(_content);
        File.SetLastWriteTimeUtc(node.PathOf(digest), DateTime.UtcNow.AddSeconds(5));

        await EventuallyAsync(async () => await ExplainAsync(node, digest, "docker.io") is { Upstream.Route.FirstByteSeconds: > 4 and < 6 });
        Assert.Equal(_content.Length, await node.MetricAsync("spegel_dapr_blob_upstream_bytes_total"));
    }

    [Fact]
    public async Task A_node_inside_the_boundary_is_served_when_theResolver_knows_it_at_its_address()
    {
        var node = await NodeAsync(("Zones:Mode", "isolated"));
        Resolver.Knows(Identity("peer", "eu/a", "http://127.0.0.1:5000"));

        Assert.Equal(HttpStatusCode.OK, await AskAsPeerAsync(node, "eu/a/peer"));
    }

    /// <summary>A listener for both families sees an IPv4 address as one of IPv6, and an event may write it so.</summary>
    [Theory]
    [InlineData("[::1]", "[::1]", "http://[::1]:5000", HttpStatusCode.OK)]
    [InlineData("[::1]", "[::1]", "http://[0:0:0:0:0:0:0:1]:5000", HttpStatusCode.OK)]
    [InlineData("[::1]", "[::1]", "http://[fd00::1]:5000", HttpStatusCode.Forbidden)]
    [InlineData("*", "[::1]", "http://127.0.0.1:5000", HttpStatusCode.Forbidden)]
    [InlineData("*", "127.0.0.1", "http://127.0.0.1:5000", HttpStatusCode.OK)]
    [InlineData("*", "127.0.0.1", "http://[::ffff:127.0.0.1]:5000", HttpStatusCode.OK)]
    [InlineData("*", "127.0.0.1", "http://[::ffff:127.0.0.2]:5000", HttpStatusCode.Forbidden)]
    public async Task A_peer_is_known_by_its_address_of_either_family(string listener, string asked, string address, HttpStatusCode answer)
    {
        var port = Loopback.FreeUri().Port;
        var node = await NodeAsync(("Zones:Mode", "isolated"), ("Blob:Url", $"http://{listener}:{port}"));
        Resolver.Knows(Identity("peer", "eu/a", address));
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri($"http://{asked}:{port}/v2/app/blobs/{node.Keep(_content)}"));
        request.Headers.Add(SpegelHeaders.Peer, "eu/a/peer");

        using var response = await node.Http.SendAsync(request);

        Assert.Equal(answer, response.StatusCode);
    }

    [Theory]
    [InlineData("fd00::1", "fd00::1/128", "fd00::1")]
    [InlineData("10.1.2.3", "10.1.2.3/32", "10.1.2.3")]
    [InlineData("fd00::/64", "fd00::/64", "fd00::ffff")]
    public void A_client_is_an_address_or_a_network(string client, string network, string inside)
    {
        var options = new BlobOptions { Clients = { client } };

        Assert.Empty(options.Problems());
        Assert.Equal(IPNetwork.Parse(network), Assert.Single(options.ClientNetworks()));
        Assert.True(Assert.Single(options.ClientNetworks()).Contains(IPAddress.Parse(inside)));
    }

    [Theory]
    [InlineData("eu/b/peer", "eu/b", "http://127.0.0.1:5000")]
    [InlineData("eu/a/unknown", "eu/a", "http://127.0.0.1:5000")]
    [InlineData("eu/a/peer", "eu/a", "http://127.0.0.2:5000")]
    [InlineData("eu/a/peer", "eu/a", "http://nowhere.invalid:5000")]
    [InlineData("eu/a", "eu/a", "http://127.0.0.1:5000")]
    [InlineData("", "eu/a", "http://127.0.0.1:5000")]
    public async Task Whoever_claims_to_be_what_it_is_not_is_refused(string claim, string location, string address)
    {
        var node = await NodeAsync(("Zones:Mode", "isolated"));
        Resolver.Knows(Identity("peer", location, address));

        Assert.Equal(HttpStatusCode.Forbidden, await AskAsPeerAsync(node, claim));
        Assert.Equal(1, await node.MetricAsync("spegel_dapr_blob_denied_total"));
    }

    [Fact]
    public async Task A_claim_is_refused_when_theResolver_answers_with_another_node()
    {
        var node = await NodeAsync(("Zones:Mode", "isolated"));
        Resolver.Knows(Identity("peer", "eu/a", "http://127.0.0.1:5000"), Identity("peer", "eu/b", "http://127.0.0.1:5000"));

        Assert.Equal(HttpStatusCode.Forbidden, await AskAsPeerAsync(node, "eu/a/peer"));
    }

    [Fact]
    public async Task The_nodes_own_containerd_needs_no_claim()
    {
        var node = await NodeAsync(("Zones:Mode", "isolated"));
        var digest = node.Keep(_content);

        Assert.Equal(_content, await node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{digest}", UriKind.Relative)));
    }

    [Fact]
    public async Task A_decision_is_explained_with_all_holders_and_why_each_is_asked_or_not()
    {
        var digest = Digest.OfSha256(_content);
        Resolver.Holds(
            digest,
            new Holder(Identity("far", "us/a", "http://127.0.0.1:1"), Tier.CrossRegion),
            new Holder(Identity("near", "eu/a", "http://127.0.0.1:2"), Tier.SameZone));
        var node = await NodeAsync(("Zones:Mode", "isolated"));

        var explanation = await ExplainAsync(node, digest, "docker.io");

        Assert.Equal(("node-a", "isolated", "zone"), (explanation.Node.ToString(), explanation.Mode, explanation.Boundary));
        Assert.Equal(Tier.SameZone, explanation.Decision);
        Assert.Equal(["near", "far"], explanation.Candidates.Select(candidate => candidate.Node.ToString()));
        Assert.Equal([true, false], explanation.Candidates.Select(candidate => candidate.IsUsed));
        Assert.Contains("boundary", explanation.Candidates[1].Reason, StringComparison.Ordinal);
        Assert.Equal("docker.io", explanation.Upstream.Registry);
    }

    [Fact]
    public async Task An_explanation_of_what_nobody_has_says_so()
    {
        var node = await NodeAsync();
        var nobody = await ExplainAsync(node, Digest.OfSha256(_content), "docker.io");
        Resolver.Failing = context =>
        {
            context.Response.StatusCode = 503;
            return Task.CompletedTask;
        };
        var unanswered = await ExplainAsync(node, Digest.OfSha256([1]), "docker.io");
        var local = await ExplainAsync(node, node.Keep(_content), "docker.io");

        Assert.Equal((Tier.Upstream, "nobody in reach holds it"), (nobody.Decision, nobody.Reason));
        Assert.Equal((Tier.Upstream, "no resolver answers"), (unanswered.Decision, unanswered.Reason));
        Assert.Equal(Tier.Local, local.Decision);
    }

    [Theory]
    [InlineData("/v1/explain")]
    [InlineData("/v1/explain?key=nginx")]
    [InlineData("/v1/explain?key=sha256:12")]
    [InlineData("/v1/explain?key=docker.io/library/nginx:1&ns=no registry")]
    public async Task A_bad_question_for_an_explanation_is_refused(string path)
    {
        var node = await NodeAsync();

        using var response = await node.GetAsync(path);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        using var error = JsonDocument.Parse(await response.Content.ReadAsStringAsync());
        Assert.NotEmpty(error.RootElement.GetProperty("errors").EnumerateArray());
    }

    [Theory]
    [InlineData("Zones:Mode", "Isolated")]
    [InlineData("Zones:Boundary", "country")]
    [InlineData("Zones:FarthestTier", "upstream")]
    [InlineData("Zones:Prices:CrossRegion", "-1")]
    [InlineData("Zones:Prices:Second", "0")]
    [InlineData("Blob:Clients:0", "10.0.0.1/33")]
    [InlineData("Blob:Clients:0", "fd00::/129")]
    public async Task A_wrong_setting_is_named_at_start(string key, string value)
    {
        var failure = await Assert.ThrowsAsync<OptionsValidationException>(() => NodeAsync((key, value)));

        var line = Assert.Single(failure.Failures);
        Assert.Contains(key.Replace(":0", "", StringComparison.Ordinal), line, StringComparison.Ordinal);
        Assert.Contains("give", line, StringComparison.Ordinal);
    }

    private async Task<HttpResponseMessage> GetAsync(BlobNode node, params Holder[] holders)
    {
        var digest = Digest.OfSha256(_content);
        Resolver.Holds(digest, holders);
        return await node.GetAsync($"/v2/app/blobs/{digest}?ns=docker.io");
    }

    private async Task<HttpStatusCode> AskAsPeerAsync(BlobNode node, string claim)
    {
        using var response = await node.GetAsync($"/v2/app/blobs/{node.Keep(_content)}", (SpegelHeaders.Peer, claim));
        return response.StatusCode;
    }

    private static async Task<Explanation> ExplainAsync(BlobNode node, Digest digest, string registry) => JsonSerializer.Deserialize(
        await node.Http.GetStringAsync(new Uri($"{Explanation.Path}?key={digest}&ns={registry}", UriKind.Relative)), ContractsJson.Default.Explanation)!;

    private static NodeIdentity Identity(string name, string location, string address) =>
        new(NodeName.Parse(name), Location.Parse(location), BlobAddress.Parse(address));

    private static async Task EventuallyAsync(Func<Task<bool>> holds)
    {
        var deadline = DateTime.UtcNow.AddSeconds(30);
        while (!await holds())
        {
            Assert.True(DateTime.UtcNow < deadline, "It does not come to hold.");
            await Task.Delay(50);
        }
    }

    private async Task<BlobNode> NodeAsync(params (string Key, string Value)[] settings) => Add(await BlobNode.StartAsync(Resolver, settings: settings));
}
