using System.Net;
using System.Net.Http.Headers;
using Microsoft.AspNetCore.Http;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

public sealed class PeerTests : BlobTests
{
    private const int Big = 3 * 1024 * 1024;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1024 * 1024)]
    [InlineData((1024 * 1024) + 1)]
    [InlineData(Big)]
    public async Task A_blob_comes_whole_from_the_holder_that_theResolver_names(int length)
    {
        var holder = await NodeAsync("node-b");
        var content = TestContent.Bytes(length);
        var digest = holder.Keep(content);
        Resolver.Holds(digest, holder.AsHolder());
        var node = await NodeAsync();

        using var response = await node.GetAsync($"/v2/some/app/blobs/{digest}?ns=docker.io");

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(content, await response.Content.ReadAsByteArrayAsync());
        Assert.Equal("sameZone", response.Headers.GetValues(SpegelHeaders.Tier).Single());
        Assert.Equal("node-b", response.Headers.GetValues(SpegelHeaders.Holder).Single());
        Assert.Equal(digest.ToString(), response.Headers.GetValues("Docker-Content-Digest").Single());
        Assert.Equal(length, await node.MetricAsync("spegel_dapr_blob_served_bytes_total", "tier=\"sameZone\"", "kind=\"blob\""));
        Assert.Equal(length, await holder.MetricAsync("spegel_dapr_blob_served_bytes_total", "tier=\"local\"", "requester=\"peer\""));
    }

    [Fact]
    public async Task A_transfer_that_dies_goes_on_at_the_next_holder_from_where_it_stopped()
    {
        var content = TestContent.Bytes(Big);
        var dying = Peer(async call =>
        {
            await call.SendAsync(content, upTo: Big / 2);
            call.Cut();
        });
        var good = Add(ScriptedPeer.Good(content));

        Assert.Equal(content, await PullAsync(content, dying.AsHolder("dying"), good.AsHolder("good")));

        Assert.Equal(1, dying.Calls);
        var range = good.Heads.Single().Split('\n').Single(line => line.StartsWith("Range:", StringComparison.Ordinal));
        Assert.InRange(long.Parse(range.Trim()["Range: bytes=".Length..^1], System.Globalization.CultureInfo.InvariantCulture), 1, Big / 2);
    }

    [Fact]
    public async Task A_transfer_that_stalls_goes_on_at_the_next_holder()
    {
        var content = TestContent.Bytes(Big);
        var stalling = Peer(async call =>
        {
            await call.SendAsync(content, upTo: Big - 1);
            await call.StallAsync();
        });

        Assert.Equal(content, await PullAsync(
            content, [("Blob:StallBudget", "00:00:01")], stalling.AsHolder("stalling"), Add(ScriptedPeer.Good(content)).AsHolder("good")));
    }

    [Fact]
    public async Task Small_content_that_is_corrupt_never_leaves_and_comes_from_the_next_holder()
    {
        var content = TestContent.Bytes(10_000);
        var corrupt = Add(ScriptedPeer.Good(TestContent.Flipped(content, 5_000)));
        var node = await NodeAsync();
        var digest = Digest.OfSha256(content);
        Resolver.Holds(digest, corrupt.AsHolder("corrupt"), Add(ScriptedPeer.Good(content)).AsHolder("good"));

        for (var pull = 0; pull < 2; pull++)
        {
            Assert.Equal(content, await node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{digest}", UriKind.Relative)));
        }

        Assert.Equal(1, corrupt.Calls);
        Assert.Equal(1, await node.MetricAsync("spegel_dapr_blob_corrupt_total", "where=\"peer\""));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(Big - 1)]
    public async Task Big_content_that_is_corrupt_is_never_delivered_whole_and_its_holder_is_not_asked_again(int flippedAt)
    {
        var content = TestContent.Bytes(Big);
        var corrupt = Add(ScriptedPeer.Good(TestContent.Flipped(content, flippedAt)));
        var node = await NodeAsync();
        var digest = Digest.OfSha256(content);
        Resolver.Holds(digest, corrupt.AsHolder("corrupt"));

        await Assert.ThrowsAsync<HttpRequestException>(() => node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{digest}", UriKind.Relative)));
        using var again = await node.GetAsync($"/v2/app/blobs/{digest}");

        Assert.Equal(HttpStatusCode.NotFound, again.StatusCode);
        Assert.Equal(1, corrupt.Calls);
    }

    [Fact]
    public async Task A_transfer_that_nobody_can_finish_ends_without_a_reset_so_that_containerd_resumes_elsewhere()
    {
        // containerd's httpReadSeeker asks the next host for the rest after an unexpected EOF, but gives up after a reset connection.
        var content = TestContent.Bytes(Big);
        var dying = Peer(async call =>
        {
            await call.SendAsync(content, upTo: Big / 2);
            call.Cut();
        });
        var node = await NodeAsync();
        var digest = Digest.OfSha256(content);
        Resolver.Holds(digest, dying.AsHolder());

        var received = await RawHttp.ExchangeAsync(node.Uri, $"GET /v2/app/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n");

        Assert.InRange(received.Length, 1, Big);
    }

    public static TheoryData<string> Misbehaviours => [.. Scripts.Keys];

    private static Dictionary<string, Func<ScriptedPeer.Call, byte[], Task>> Scripts { get; } = new()
    {
        ["redirects"] = (call, _) => call.SendRawAsync("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
        ["has not got it"] = (call, _) => call.SendRawAsync("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        ["fails"] = (call, _) => call.SendRawAsync("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
        ["speaks no HTTP"] = (call, _) => call.SendRawAsync("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        ["gives no length"] = (call, _) => call.SendRawAsync("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"),
        ["encodes"] = (call, _) => call.SendRawAsync("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"),
        ["sends endless headers"] = async (call, _) =>
        {
            await call.SendRawAsync("HTTP/1.1 200 OK\r\n");
            while (true)
            {
                await call.SendRawAsync($"X-More: {new string('x', 1000)}\r\n");
            }
        },
        ["sends a part unasked"] = (call, content) => call.SendRawAsync(
            $"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 1-4/{content.Length}\r\nContent-Length: 4\r\n\r\nabcd"),
        ["sends too little and closes"] = async (call, content) =>
        {
            await call.SendAsync(content, upTo: 100);
            call.Cut();
        },
        ["lies about the length"] = (call, content) => call.SendAsync(content[..^1]),
        ["hangs up"] = (call, _) =>
        {
            call.Cut();
            return Task.CompletedTask;
        },
        ["says nothing"] = (call, _) => call.StallAsync(),
    };

    [Theory]
    [MemberData(nameof(Misbehaviours))]
    public async Task A_holder_that_misbehaves_costs_no_more_than_a_detour(string misbehaviour)
    {
        var content = TestContent.Bytes(100_000);
        var bad = Peer(call => Scripts[misbehaviour](call, content));

        Assert.Equal(content, await PullAsync(content, bad.AsHolder(), Add(ScriptedPeer.Good(content)).AsHolder("good")));
    }

    [Theory]
    [MemberData(nameof(Misbehaviours))]
    public async Task When_all_holders_misbehave_the_answer_is_404(string misbehaviour)
    {
        var content = TestContent.Bytes(100_000);
        var bad = Peer(call => Scripts[misbehaviour](call, content));
        var node = await NodeAsync(settings: ("Blob:PeerStartBudget", "00:00:01"));
        var digest = Digest.OfSha256(content);
        Resolver.Holds(digest, bad.AsHolder("bad-1"), bad.AsHolder("bad-2"));

        using var response = await node.GetAsync($"/v2/app/blobs/{digest}");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Contains("BLOB_UNKNOWN", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.False(response.Headers.Contains("Docker-Content-Digest"));
    }

    [Theory]
    [InlineData("ignores the range")]
    [InlineData("gives another range")]
    [InlineData("gives another total")]
    public async Task Who_cannot_continue_exactly_is_passed_over(string how)
    {
        var content = TestContent.Bytes(Big);
        var dying = Peer(async call =>
        {
            await call.SendAsync(content, upTo: Big / 2);
            call.Cut();
        });
        var wrong = Peer(call =>
        {
            var (first, length) = (call.Range!.Value.First, Big - call.Range.Value.First);
            return call.SendRawAsync(how switch
            {
                "ignores the range" => $"HTTP/1.1 200 OK\r\nContent-Length: {Big}\r\n\r\nabcd",
                "gives another range" => $"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first + 1}-{Big - 1}/{Big}\r\nContent-Length: {length - 1}\r\n\r\nabcd",
                _ => $"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{Big}/{Big + 1}\r\nContent-Length: {length + 1}\r\n\r\nabcd",
            });
        });

        Assert.Equal(content, await PullAsync(content, dying.AsHolder("dying"), wrong.AsHolder("wrong"), Add(ScriptedPeer.Good(content)).AsHolder("good")));
        Assert.Equal(1, wrong.Calls);
    }

    [Fact]
    public async Task A_slow_holder_is_overtaken_by_the_next()
    {
        var content = TestContent.Bytes(1000);
        var slow = Peer(call => call.StallAsync());
        var node = await NodeAsync();
        var digest = Digest.OfSha256(content);
        Resolver.Holds(digest, slow.AsHolder("slow"), Add(ScriptedPeer.Good(content)).AsHolder("good"));

        using var response = await node.GetAsync($"/v2/app/blobs/{digest}");

        Assert.Equal(content, await response.Content.ReadAsByteArrayAsync());
        Assert.Equal("good", response.Headers.GetValues(SpegelHeaders.Holder).Single());
        Assert.Equal(1, await node.MetricAsync("spegel_dapr_blob_hedged_total"));
    }

    [Theory]
    [InlineData("bytes=1000-", 1000, Big - 1)]
    [InlineData("bytes=1000-1999", 1000, 1999)]
    [InlineData("bytes=0-9223372036854775807", 0, Big - 1)]
    [InlineData("bytes=0-99", 0, 99)]
    [InlineData("bytes=5-99999999", 5, Big - 1)]
    public async Task A_range_comes_from_a_peer(string range, int first, int last)
    {
        var holder = await NodeAsync("node-b");
        var content = TestContent.Bytes(Big);
        var digest = holder.Keep(content);
        Resolver.Holds(digest, holder.AsHolder());
        var node = await NodeAsync();

        using var response = await node.GetAsync($"/v2/app/blobs/{digest}", ("Range", range));

        Assert.Equal(HttpStatusCode.PartialContent, response.StatusCode);
        Assert.Equal(new ContentRangeHeaderValue(first, last, Big), response.Content.Headers.ContentRange);
        Assert.Equal(content[first..(last + 1)], await response.Content.ReadAsByteArrayAsync());
    }

    [Fact]
    public async Task A_range_that_is_the_whole_is_answered_with_the_whole_after_which_a_containerd_does_not_fetch_in_parallel()
    {
        var content = TestContent.Bytes(Big);
        var digest = Digest.OfSha256(content);
        Resolver.Holds(digest, Add(ScriptedPeer.Good(content)).AsHolder());
        var node = await NodeAsync();

        using var response = await node.GetAsync($"/v2/app/blobs/{digest}", ("Range", "bytes=0-"));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(content, await response.Content.ReadAsByteArrayAsync());
    }

    [Theory]
    [InlineData(5000, 0)]
    [InlineData(Big, Big / 2)]
    public async Task A_holder_that_trickles_counts_as_one_that_stalls(int length, int trickleFrom)
    {
        var content = TestContent.Bytes(length).Select(letter => (byte)(letter & 0x7F)).ToArray();
        var trickling = Peer(async call =>
        {
            await call.SendAsync(content, upTo: trickleFrom);
            foreach (var letter in content[trickleFrom..])
            {
                await call.SendRawAsync(((char)letter).ToString());
                await Task.Delay(50, call.Stopping);
            }
        });

        Assert.Equal(content, await PullAsync(
            content, [("Blob:StallBudget", "00:00:01")], trickling.AsHolder("trickling"), Add(ScriptedPeer.Good(content)).AsHolder("good")));
    }

    [Fact]
    public async Task A_holder_that_is_still_checking_is_asked_again_until_it_has()
    {
        var content = TestContent.Bytes(1000);
        var asked = 0;
        var checking = Peer(call => Interlocked.Increment(ref asked) < 3 ? call.SendRawAsync(StillChecking) : call.SendAsync(content));

        Assert.Equal(content, await PullAsync(content, checking.AsHolder()));
        Assert.Equal(3, checking.Calls);
    }

    [Fact]
    public async Task While_a_holder_is_checking_another_gives_the_content_and_it_is_asked_for_the_next()
    {
        var (content, next) = (TestContent.Bytes(1000), TestContent.Bytes(1000, seed: 2));
        var checking = Peer(call => call.SendRawAsync(StillChecking));
        var good = Add(ScriptedPeer.Good(content));
        var node = await NodeAsync(settings: ("Blob:PeerStartBudget", "00:00:01"));
        Resolver.Holds(Digest.OfSha256(content), checking.AsHolder("checking"), good.AsHolder("good"));
        Resolver.Holds(Digest.OfSha256(next), checking.AsHolder("checking"));

        Assert.Equal(content, await node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{Digest.OfSha256(content)}", UriKind.Relative)));
        var before = checking.Calls;
        using var response = await node.GetAsync($"/v2/app/blobs/{Digest.OfSha256(next)}");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.InRange(before, 0, 1);
        Assert.InRange(checking.Calls - before, 2, 10);
    }

    [Theory]
    [InlineData("GET")]
    [InlineData("HEAD")]
    public async Task A_peer_is_told_that_a_large_copy_is_still_being_checked(string method)
    {
        var node = await NodeAsync();
        var digest = Digest.OfSha256([1]);
        using (var sparse = File.OpenHandle(node.PathOf(digest), FileMode.CreateNew, FileAccess.Write))
        {
            RandomAccess.SetLength(sparse, 1L << 36);
        }

        using var response = await node.SendAsync(new HttpMethod(method), $"/v2/app/blobs/{digest}", (SpegelHeaders.Peer, "eu/a/node-b"));

        Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode);
        Assert.Equal("1", response.Headers.GetValues(SpegelHeaders.Checking).Single());
        Assert.Equal(1, await node.MetricAsync("spegel_dapr_blob_requests_total", "outcome=\"checking\"", "requester=\"peer\""));
    }

    [Fact]
    public async Task What_came_whole_by_the_mirror_is_given_to_others_without_being_read_before()
    {
        var content = TestContent.Bytes(Big);
        var holder = Add(ScriptedPeer.Good(content));
        var notRead = TestContent.Flipped(content, 0);
        var node = await NodeAsync();
        var download = new Download(node, content);
        Resolver.Holds(download.Digest, holder.AsHolder());
        var path = $"/v2/app/blobs/{download.Digest}";

        Assert.Equal(content, await node.Http.GetByteArrayAsync(new Uri(path, UriKind.Relative)));
        download.GiveUp();
        await File.WriteAllBytesAsync(node.PathOf(download.Digest), notRead);
        using var response = await node.GetAsync(path, (SpegelHeaders.Peer, "eu/a/node-b"));

        Assert.Equal(notRead, await response.Content.ReadAsByteArrayAsync());
    }

    [Fact]
    public async Task A_silent_holder_costs_its_budget_once_and_not_for_each_layer()
    {
        var silent = Peer(call => call.StallAsync());
        var layers = Enumerable.Range(1, 5).Select(seed => Digest.OfSha256(TestContent.Bytes(100, seed))).ToList();
        layers.ForEach(layer => Resolver.Holds(layer, silent.AsHolder()));
        var node = await NodeAsync(settings: ("Blob:PeerStartBudget", "00:00:01"));

        foreach (var layer in layers)
        {
            using var response = await node.GetAsync($"/v2/app/blobs/{layer}");
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        }

        Assert.Equal(1, silent.Calls);
    }

    [Fact]
    public async Task What_a_service_is_sending_when_it_stops_ends_without_a_reset()
    {
        var node = await NodeAsync();
        var digest = node.Keep(TestContent.Bytes(64 * 1024 * 1024));
        using var client = new System.Net.Sockets.TcpClient { ReceiveBufferSize = 64 * 1024 };
        await client.ConnectAsync(node.Uri.Host, node.Uri.Port);
        var stream = client.GetStream();
        await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes($"GET /v2/app/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n"));
        await stream.ReadExactlyAsync(new byte[1024]);

        var stopped = node.StopInOrderAsync();
        using var rest = new MemoryStream();
        await stream.CopyToAsync(rest).WaitAsync(TimeSpan.FromSeconds(30));
        await stopped;

        // What was in buffers still comes, and not much more.
        Assert.InRange(rest.Length, 1, 32 * 1024 * 1024);
    }

    [Fact]
    public void A_peers_control_characters_are_not_logged() =>
        Assert.Equal("no?[31m?way", new SpegelDapr.Blob.Peers.PeerException("no\u001b[31m\rway").Message);

    [Fact]
    public async Task A_head_of_a_blob_and_of_a_manifest_is_answered_from_a_peer()
    {
        var holder = await NodeAsync("node-b");
        var blob = holder.Keep(TestContent.Bytes(5000));
        var manifest = holder.Keep(TestContent.ImageManifest(blob, blob));
        Resolver.Holds(blob, holder.AsHolder());
        Resolver.Tags("docker.io/library/app:1", manifest, holder.AsHolder());
        var node = await NodeAsync();

        using var ofBlob = await node.SendAsync(HttpMethod.Head, $"/v2/library/app/blobs/{blob}?ns=docker.io");
        using var ofManifest = await node.SendAsync(HttpMethod.Head, "/v2/library/app/manifests/1?ns=docker.io");

        Assert.Equal(5000, ofBlob.Content.Headers.ContentLength);
        Assert.Equal(manifest.ToString(), ofManifest.Headers.GetValues("Docker-Content-Digest").Single());
        Assert.Equal(OciMediaTypes.Manifest, ofManifest.Content.Headers.ContentType!.ToString());
        Assert.Equal(new FileInfo(holder.PathOf(manifest)).Length, ofManifest.Content.Headers.ContentLength);
    }

    [Fact]
    public async Task After_a_manifest_its_layers_are_resolved_in_one_question()
    {
        var holder = await NodeAsync("node-b");
        var layers = Enumerable.Range(0, 40).Select(i => holder.Keep(TestContent.Bytes(100, seed: i))).ToArray();
        var config = holder.Keep(TestContent.Bytes(50));
        var manifest = holder.Keep(TestContent.ImageManifest(config, layers.Select(layer => (layer, 100L))));
        Resolver.Tags("docker.io/library/app:1", manifest, holder.AsHolder());
        foreach (var digest in (Digest[])[config, .. layers])
        {
            Resolver.Holds(digest, holder.AsHolder());
        }

        var node = await NodeAsync();
        await node.Http.GetByteArrayAsync(new Uri("/v2/library/app/manifests/1?ns=docker.io", UriKind.Relative));
        await node.Http.GetByteArrayAsync(new Uri($"/v2/library/app/manifests/{manifest}?ns=docker.io", UriKind.Relative));
        foreach (var digest in layers)
        {
            await node.Http.GetByteArrayAsync(new Uri($"/v2/library/app/blobs/{digest}?ns=docker.io", UriKind.Relative));
        }

        Assert.Equal([1, 41], Resolver.Questions.Select(question => question.Keys.Count));
    }

    [Fact]
    public async Task A_peer_is_answered_from_local_content_only()
    {
        var holder = await NodeAsync("node-b");
        var digest = holder.Keep(TestContent.Bytes(100));
        Resolver.Holds(digest, holder.AsHolder());
        Resolver.Tags("docker.io/library/app:1", digest, holder.AsHolder());
        var node = await NodeAsync();

        using var blob = await node.GetAsync($"/v2/app/blobs/{digest}", (SpegelHeaders.Peer, "eu/a/node-c"));
        using var tag = await node.GetAsync("/v2/library/app/manifests/1?ns=docker.io", (SpegelHeaders.Peer, "eu/a/node-c"));

        Assert.Equal(HttpStatusCode.NotFound, blob.StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, tag.StatusCode);
        Assert.Empty(Resolver.Questions);
    }

    [Fact]
    public async Task A_corrupt_local_file_is_not_served_and_good_content_comes_from_a_peer()
    {
        var content = TestContent.Bytes(1000);
        var holder = await NodeAsync("node-b");
        var digest = holder.Keep(content);
        Resolver.Holds(digest, holder.AsHolder());
        var node = await NodeAsync();
        await File.WriteAllBytesAsync(node.PathOf(digest), TestContent.Flipped(content, 500));

        using var toPeer = await node.GetAsync($"/v2/app/blobs/{digest}", (SpegelHeaders.Peer, "eu/a/node-c"));
        var toNode = await node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{digest}", UriKind.Relative));

        Assert.Equal(HttpStatusCode.NotFound, toPeer.StatusCode);
        Assert.Equal(content, toNode);
        Assert.Equal(1, await node.MetricAsync("spegel_dapr_blob_corrupt_total", "where=\"local\""));
    }

    [Fact]
    public async Task While_noResolver_answers_requests_are_refused_promptly_and_soon_not_even_asked()
    {
        Resolver.Failing = context =>
        {
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            return Task.CompletedTask;
        };
        var node = await NodeAsync();

        for (var i = 0; i < 40; i++)
        {
            using var response = await node.GetAsync($"/v2/app/blobs/{Digest.OfSha256(TestContent.Bytes(10, seed: i))}");
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        }

        // Without a break each request would be four questions.
        Assert.InRange(Resolver.Questions.Count, 1, 80);
    }

    [Fact]
    public async Task When_theResolver_is_back_peers_serve_again()
    {
        Resolver.Failing = context => Task.Delay(Timeout.InfiniteTimeSpan, context.RequestAborted);
        var holder = await NodeAsync("node-b");
        var digest = holder.Keep(TestContent.Bytes(1000));
        Resolver.Holds(digest, holder.AsHolder());
        var node = await NodeAsync(settings: ("Blob:ResolveBudget", "00:00:00.050"));
        for (var i = 0; i < 5; i++)
        {
            using var refused = await node.GetAsync($"/v2/app/blobs/{digest}");
            Assert.Equal(HttpStatusCode.NotFound, refused.StatusCode);
        }

        Resolver.Failing = null;

        var deadline = DateTime.UtcNow.AddSeconds(30);
        while (true)
        {
            using var response = await node.GetAsync($"/v2/app/blobs/{digest}");
            if (response.IsSuccessStatusCode)
            {
                break;
            }

            Assert.True(DateTime.UtcNow < deadline, "The peer does not serve again.");
            await Task.Delay(100);
        }
    }

    private static string StillChecking => $"HTTP/1.1 503 Service Unavailable\r\n{SpegelHeaders.Checking}: 1\r\nContent-Length: 0\r\n\r\n";

    private Task<byte[]> PullAsync(byte[] content, params Holder[] holders) => PullAsync(content, [], holders);

    private async Task<byte[]> PullAsync(byte[] content, (string Key, string Value)[] settings, params Holder[] holders)
    {
        var digest = Digest.OfSha256(content);
        Resolver.Holds(digest, holders);
        var node = await NodeAsync(settings: settings);
        return await node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{digest}", UriKind.Relative));
    }

    private async Task<BlobNode> NodeAsync(string name = "node-a", params (string Key, string Value)[] settings) => Add(await BlobNode.StartAsync(
        Resolver, name, settings));

    private ScriptedPeer Peer(Func<ScriptedPeer.Call, Task> script) => Add(new ScriptedPeer(script));
}
