using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

public sealed class RelayTests : BlobTests
{
    private const int MiB = 1024 * 1024;
    private const int Big = (3 * MiB) + 12_345;

    private readonly byte[] _content = TestContent.Bytes(Big);
    private readonly Dictionary<BlobNode, Download> _downloads = [];
    private volatile bool _gone;

    [Fact]
    public async Task A_download_is_followed_while_it_grows()
    {
        var (parent, node) = (await NodeAsync("node-b"), await AskerAsync());
        var download = new Download(parent, _content).GrowTo(MiB + 10);
        Follow(parent);

        using var response = await node.GetAsync($"/v2/app/blobs/{download.Digest}?ns=docker.io");
        await using var body = await response.Content.ReadAsStreamAsync();
        var received = new byte[Big];
        await body.ReadExactlyAsync(received.AsMemory(0, MiB + 10));
        download.GrowTo(2 * MiB);
        await body.ReadExactlyAsync(received.AsMemory(MiB + 10, MiB - 10));
        download.Commit();
        await body.ReadExactlyAsync(received.AsMemory(2 * MiB));

        Assert.Equal(_content, received);
        Assert.Equal(Big, response.Content.Headers.ContentLength);
        Assert.Equal("1", response.Headers.GetValues(SpegelHeaders.Relayed).Single());
        Assert.Equal("node-b", response.Headers.GetValues(SpegelHeaders.Holder).Single());
        Assert.Equal("sameZone", response.Headers.GetValues(SpegelHeaders.Tier).Single());
        Assert.Equal(Big, await node.MetricAsync("spegel_dapr_blob_served_bytes_total", "tier=\"sameZone\"", "requester=\"node\""));
        Assert.Equal(Big, await node.MetricAsync("spegel_dapr_blob_relayed_bytes_total", "tier=\"sameZone\"", "requester=\"node\""));
        Assert.Equal(Big, await parent.MetricAsync("spegel_dapr_blob_relayed_bytes_total", "tier=\"local\"", "requester=\"peer\""));
        Assert.Equal(1, await parent.MetricAsync("spegel_dapr_blob_requests_total", "outcome=\"relayed\"", "requester=\"peer\""));
    }

    [Fact]
    public async Task A_head_registers_nobody_as_in_flight()
    {
        var node = await NodeAsync();
        var manifest = new Download(node, TestContent.Bytes(10), "k8s.io/1/manifest-").Digest;
        Resolver.Holds(manifest, Add(new ScriptedPeer(call => call.SendRawAsync("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))).AsHolder("far", "eu/b"));

        using var response = await node.SendAsync(HttpMethod.Head, $"/v2/app/manifests/{manifest}?ns=docker.io");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Empty(Resolver.FollowQuestions);
    }

    [Fact]
    public async Task Who_leads_waits_for_silent_holders_no_longer_than_without_a_relay()
    {
        var node = await AskerAsync("node-a", ("Blob:PeerStartBudget", "00:00:01"), ("Blob:FollowStartBudget", "00:10:00"));
        Resolver.Holds(Digest.OfSha256(_content), Add(new ScriptedPeer(call => call.StallAsync())).AsHolder("far", "eu/b"));

        using var response = await node.GetAsync($"/v2/app/blobs/{Digest.OfSha256(_content)}?ns=docker.io");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
    }

    [Fact]
    public async Task What_a_parent_gets_from_another_is_passed_on_before_containerd_has_written_it()
    {
        var (parent, node) = (await NodeAsync("node-b"), await AskerAsync());
        var source = Add(new ScriptedPeer(async call =>
        {
            await call.SendAsync(_content, upTo: MiB + 10);
            await call.StallAsync();
        }));
        var download = new Download(parent, _content);
        Resolver.Following = question => new FollowAnswer(question.Digest, 1, question.Node == node.Identity.Name ? parent.Identity : source.AsHolder("node-c").Node);

        using var toContainerd = await parent.GetAsync($"/v2/app/blobs/{download.Digest}");
        using var response = await node.GetAsync($"/v2/app/blobs/{download.Digest}");
        await using var body = await response.Content.ReadAsStreamAsync();
        var received = new byte[MiB + 10];
        await body.ReadExactlyAsync(received);

        Assert.Equal(_content[..(MiB + 10)], received);
        Assert.Equal(0, new FileInfo(download.DataPath).Length);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(10)]
    [InlineData(2 * MiB)]
    [InlineData(Big - 1)]
    public async Task A_range_of_a_download_comes_when_it_has_got_there(int first)
    {
        var (parent, node) = (await NodeAsync("node-b"), await AskerAsync());
        var download = new Download(parent, _content).GrowTo(MiB);
        Follow(parent);

        var answer = node.GetAsync($"/v2/app/blobs/{download.Digest}", ("Range", $"bytes={first}-"));
        await Task.Delay(50);
        download.Commit();
        using var response = await answer;

        Assert.Equal(first == 0 ? HttpStatusCode.OK : HttpStatusCode.PartialContent, response.StatusCode);
        Assert.Equal(first == 0 ? Big : null, response.Content.Headers.ContentLength);
        Assert.Equal(_content[first..], await response.Content.ReadAsByteArrayAsync());
    }

    [Fact]
    public async Task A_download_that_appears_a_little_later_is_waited_for()
    {
        var (parent, node) = (await NodeAsync("node-b"), await AskerAsync());
        Follow(parent);

        var answer = node.Http.GetByteArrayAsync(Path(Digest.OfSha256(_content)));
        await Task.Delay(100);
        new Download(parent, _content).Commit();

        Assert.Equal(_content, await answer);
    }

    [Fact]
    public async Task A_download_is_known_by_its_digest_also_where_containerd_adds_a_name()
    {
        var (parent, node) = (await NodeAsync("node-b"), await AskerAsync());
        var download = new Download(parent, _content, "k8s.io/1/layer-app@").GrowTo(Big);
        Follow(parent);

        Assert.Equal(_content, await node.Http.GetByteArrayAsync(Path(download.Digest)));
    }

    [Fact]
    public async Task Who_leads_is_sent_upstream_at_once()
    {
        var node = await AskerAsync();
        var digest = Digest.OfSha256(_content);

        using var response = await node.GetAsync($"/v2/app/blobs/{digest}");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        var question = Assert.Single(Resolver.FollowQuestions);
        Assert.Equal(("node-a", digest, 0), (question.Node.ToString(), question.Digest, question.Failed.Count));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task One_question_tells_who_holds_it_and_whom_to_follow(bool leads)
    {
        var (parent, node) = (await NodeAsync("node-b"), await AskerAsync());
        var download = new Download(parent, _content).GrowTo(Big);
        Resolver.FollowsAtOnce = true;
        if (!leads)
        {
            Follow(parent);
        }

        using var response = await node.GetAsync($"/v2/app/blobs/{download.Digest}");

        Assert.Equal(leads ? HttpStatusCode.NotFound : HttpStatusCode.OK, response.StatusCode);
        Assert.Single(Resolver.Questions);
        Assert.Empty(Resolver.FollowQuestions);
    }

    [Fact]
    public async Task Whom_to_follow_is_asked_with_the_holders_only_of_what_is_being_downloaded()
    {
        var node = await NodeAsync();
        var download = new Download(node, TestContent.Bytes(10), "k8s.io/1/manifest-");

        foreach (var (digest, isAsked) in new[] { (Digest.OfSha256([1]), false), (download.Digest, true) })
        {
            using var response = await node.GetAsync($"/v2/app/manifests/{digest}?ns=docker.io");
            Assert.Equal(isAsked, Resolver.Questions.Last().Fetching is not null);
        }
    }

    [Fact]
    public async Task Who_leads_fetches_from_farther_holders_where_there_are_some()
    {
        var node = await AskerAsync();
        var far = Add(ScriptedPeer.Good(_content));
        Resolver.Holds(Digest.OfSha256(_content), far.AsHolder("far", "eu/b"));

        using var response = await node.GetAsync($"/v2/app/blobs/{Digest.OfSha256(_content)}");

        Assert.Equal(_content, await response.Content.ReadAsByteArrayAsync());
        Assert.Equal("sameRegion", response.Headers.GetValues(SpegelHeaders.Tier).Single());
        Assert.Single(Resolver.FollowQuestions);
    }

    [Fact]
    public async Task A_node_of_the_zone_that_is_downloading_comes_before_farther_holders()
    {
        var (parent, node) = (await NodeAsync("node-b"), await AskerAsync());
        new Download(parent, _content).GrowTo(Big);
        var far = Add(ScriptedPeer.Good(_content));
        Resolver.Holds(Digest.OfSha256(_content), far.AsHolder("far", "eu/b"));
        Follow(parent);

        Assert.Equal(_content, await node.Http.GetByteArrayAsync(Path(Digest.OfSha256(_content))));
        Assert.Equal(0, far.Calls);
    }

    [Fact]
    public async Task A_holder_of_the_zone_comes_before_nodes_that_are_downloading()
    {
        var node = await AskerAsync();
        Resolver.Holds(Digest.OfSha256(_content), Add(ScriptedPeer.Good(_content)).AsHolder("near"));

        Assert.Equal(_content, await node.Http.GetByteArrayAsync(Path(Digest.OfSha256(_content))));
        Assert.Empty(Resolver.FollowQuestions);
    }

    [Fact]
    public async Task Where_relay_is_off_nobody_follows_and_nobody_is_followed()
    {
        var (parent, node) = (await NodeAsync("node-b", ("Blob:Relay", "false")), await AskerAsync(settings: ("Blob:Relay", "false")));
        var download = new Download(parent, _content).GrowTo(Big);
        Follow(parent);

        using var response = await node.GetAsync($"/v2/app/blobs/{download.Digest}");
        using var direct = await parent.GetAsync($"/v2/app/blobs/{download.Digest}", (SpegelHeaders.Peer, "eu/a/node-a"), (SpegelHeaders.Follow, "1"));

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, direct.StatusCode);
        Assert.Empty(Resolver.FollowQuestions);
    }

    [Fact]
    public async Task A_download_is_for_those_who_follow_and_not_for_others()
    {
        var parent = await NodeAsync("node-b");
        var download = new Download(parent, _content).GrowTo(Big);

        using var response = await parent.GetAsync($"/v2/app/blobs/{download.Digest}", (SpegelHeaders.Peer, "eu/a/node-a"));

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
    }

    [Fact]
    public async Task A_node_outside_the_zone_is_not_followed_whatever_the_answer_says()
    {
        var (parent, node) = (await NodeAsync("node-b", ("Node:Zone", "b")), await AskerAsync());
        var download = new Download(parent, _content).GrowTo(Big);
        Follow(parent);

        using var response = await node.GetAsync($"/v2/app/blobs/{download.Digest}");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal(0, await parent.MetricAsync("spegel_dapr_blob_requests_total", "requester=\"peer\""));
    }

    [Fact]
    public async Task Who_has_followed_in_vain_says_so_and_leads_in_the_end()
    {
        var (first, second, node) = (await NodeAsync("node-b", Impatient), await NodeAsync("node-c", Impatient), await AskerAsync());
        Follow(first, second);

        using var response = await node.GetAsync($"/v2/app/blobs/{Digest.OfSha256(_content)}");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal(["", "node-b", "node-b,node-c"], Resolver.FollowQuestions.Select(question => string.Join(',', question.Failed)));
    }

    [Fact]
    public async Task What_is_there_of_a_download_that_stands_still_goes_to_who_is_behind()
    {
        var content = TestContent.Bytes(40 * MiB);
        var parent = await NodeAsync("node-b", ("Blob:StallBudget", "00:00:00.010"));
        var download = new Download(parent, content).GrowTo(content.Length);

        using var response = await parent.GetAsync($"/v2/app/blobs/{download.Digest}", (SpegelHeaders.Peer, "eu/a/node-a"), (SpegelHeaders.Follow, "1"));

        Assert.Equal(content, await response.Content.ReadAsByteArrayAsync());
    }

    [Theory]
    [InlineData("given up")]
    [InlineData("begun anew")]
    [InlineData("standing still")]
    [InlineData("killed")]
    public async Task When_a_download_ends_too_early_another_node_is_followed_from_there(string how)
    {
        var first = await NodeAsync("node-b", ("Blob:StallBudget", "00:00:00.500"));
        var second = Add(ScriptedPeer.Good(_content));
        var node = await AskerAsync();
        var broken = new Download(first, _content).GrowTo(MiB);
        Follow(first.Identity, second.AsHolder("node-c").Node);

        using var response = await node.GetAsync($"/v2/app/blobs/{broken.Digest}");
        await using var body = await response.Content.ReadAsStreamAsync();
        var received = new byte[Big];
        await body.ReadExactlyAsync(received.AsMemory(0, MiB));
        switch (how)
        {
            case "given up":
                broken.GiveUp();
                break;
            case "begun anew":
                broken.Truncate();
                break;
            case "killed":
                await first.StopAsync();
                break;
        }

        await body.ReadExactlyAsync(received.AsMemory(MiB));

        Assert.Equal(_content, received);
        Assert.Equal(["", "node-b"], Resolver.FollowQuestions.Select(question => string.Join(',', question.Failed)));
        Assert.Equal(1, await node.MetricAsync("spegel_dapr_blob_resumed_total"));
        Assert.Contains($"Range: bytes={MiB}-", Assert.Single(second.Heads), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(10)]
    public async Task When_nobody_is_left_to_follow_the_answer_ends_so_that_containerd_goes_upstream_for_the_rest(int first)
    {
        var (parent, node) = (await NodeAsync("node-b", Impatient), await AskerAsync());
        var download = new Download(parent, _content).GrowTo(MiB);
        Follow(parent);

        using var response = await node.GetAsync($"/v2/app/blobs/{download.Digest}", ("Range", $"bytes={first}-"));
        await using var body = await response.Content.ReadAsStreamAsync();
        await body.ReadExactlyAsync(new byte[MiB - first]);
        download.GiveUp();

        await Assert.ThrowsAnyAsync<IOException>(() => body.ReadExactlyAsync(new byte[1]).AsTask());
        using var rest = await node.GetAsync($"/v2/app/blobs/{download.Digest}", ("Range", $"bytes={MiB}-"));
        Assert.Equal(HttpStatusCode.NotFound, rest.StatusCode);
    }

    [Fact]
    public async Task What_has_changed_since_it_was_written_goes_to_no_follower()
    {
        var (rotten, good) = (await NodeAsync("node-b"), await NodeAsync("node-c"));
        var (early, late) = (await AskerAsync(), await AskerAsync("node-d"));
        var download = new Download(rotten, _content).GrowTo(2 * MiB);
        new Download(good, _content).GrowTo(Big);
        Follow(rotten, good);
        using var response = await early.GetAsync($"/v2/app/blobs/{download.Digest}");
        await using var body = await response.Content.ReadAsStreamAsync();
        await body.ReadExactlyAsync(new byte[2 * MiB]);

        await using (var data = new FileStream(download.DataPath, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite))
        {
            data.Position = 1000;
            data.WriteByte((byte)(_content[1000] ^ 1));
        }

        Assert.Equal(_content, await late.Http.GetByteArrayAsync(Path(download.Digest)));
        Assert.Equal(1, await rotten.MetricAsync("spegel_dapr_blob_corrupt_total", "where=\"ingest\""));
    }

    [Fact]
    public async Task A_manifest_is_followed_until_it_is_there_whole()
    {
        var (parent, node) = (await NodeAsync("node-b"), await AskerAsync());
        var layer = Digest.OfSha256(_content);
        var manifest = TestContent.ImageManifest(layer, layer);
        var download = new Download(parent, manifest, "k8s.io/1/manifest-").GrowTo(10);
        _ = new Download(node, manifest, "k8s.io/1/manifest-");
        Follow(parent);

        var answer = node.GetAsync($"/v2/app/manifests/{download.Digest}?ns=docker.io");
        await Task.Delay(50);
        download.Commit();
        using var response = await answer;

        Assert.Equal(manifest, await response.Content.ReadAsByteArrayAsync());
        Assert.Equal(OciMediaTypes.Manifest, response.Content.Headers.ContentType!.ToString());
    }

    [Fact]
    public async Task A_second_request_for_the_same_content_follows_nobody()
    {
        var (parent, node) = (await NodeAsync("node-b"), await AskerAsync());
        var download = new Download(parent, _content).GrowTo(MiB);
        Follow(parent);

        using var first = await node.GetAsync($"/v2/app/blobs/{download.Digest}");
        using var second = await node.GetAsync($"/v2/app/blobs/{download.Digest}");
        download.Commit();

        Assert.Equal(HttpStatusCode.NotFound, second.StatusCode);
        Assert.Equal(_content, await first.Content.ReadAsByteArrayAsync());
        Assert.Single(Resolver.FollowQuestions);
    }

    [Theory]
    [InlineData("GET", "blobs", null)]
    [InlineData("GET", "blobs", "bytes=1048576-")]
    [InlineData("GET", "manifests", null)]
    [InlineData("HEAD", "manifests", null)]
    public async Task Who_is_not_downloading_follows_nobody_and_is_followed_by_nobody(string method, string kind, string? range)
    {
        var (parent, node) = (await NodeAsync("node-b"), await NodeAsync());
        var download = new Download(parent, _content).GrowTo(MiB);
        Follow(parent);

        using var response = await node.SendAsync(new HttpMethod(method), $"/v2/app/{kind}/{download.Digest}", range is null ? [] : [("Range", range)]);

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Empty(Resolver.FollowQuestions);
    }

    [Theory]
    [InlineData("bytes=0-99")]
    [InlineData("bytes=100-199")]
    [InlineData("bytes=-5")]
    public async Task A_range_that_ends_is_no_download(string range)
    {
        var (parent, node) = (await NodeAsync("node-b"), await AskerAsync());
        var download = new Download(parent, _content).GrowTo(MiB);
        Follow(parent);

        using var response = await node.GetAsync($"/v2/app/blobs/{download.Digest}", ("Range", range));

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Empty(Resolver.FollowQuestions);
    }

    [Fact]
    public async Task Parts_of_a_download_are_served_side_by_side_from_the_node_that_is_followed()
    {
        int[] starts = [MiB, MiB + 1, 2 * MiB, Big - 1];
        var (calls, allAsked) = (0, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        var parent = Add(new ScriptedPeer(async call =>
        {
            await call.SendAsync(_content, upTo: call.Range is null ? MiB : 0);
            if (Interlocked.Increment(ref calls) == 1 + starts.Length)
            {
                allAsked.SetResult();
            }

            await allAsked.Task.WaitAsync(call.Stopping);
            await call.SendMoreAsync(_content.AsMemory((int?)call.Range?.First ?? MiB));
        }));
        var node = await AskerAsync();
        var target = Path(_downloads[node].Digest).ToString();
        Follow(parent.AsHolder("node-b").Node);

        using var whole = await node.GetAsync(target, ("Range", "bytes=0-"));
        foreach (var (first, part) in starts.Zip(starts.Select(first => node.GetAsync(target, ("Range", $"bytes={first}-"))).ToArray()))
        {
            using var response = await part;
            Assert.Equal(HttpStatusCode.PartialContent, response.StatusCode);
            Assert.Null(response.Content.Headers.ContentLength);
            Assert.Equal(_content[first..], await response.Content.ReadAsByteArrayAsync());
        }

        Assert.Equal(_content, await whole.Content.ReadAsByteArrayAsync());
        Assert.Single(Resolver.FollowQuestions);
    }

    [Fact]
    public async Task A_part_that_is_asked_for_after_the_others_have_ended_comes_from_the_same_node_and_nobody_is_asked_again()
    {
        var parent = Add(ScriptedPeer.Good(_content));
        var node = await AskerAsync();
        Resolver.Following = question => Resolver.FollowQuestions.Count == 1
            ? new FollowAnswer(question.Digest, 1, parent.AsHolder("node-b").Node)
            : new FollowAnswer(question.Digest, 0);

        foreach (var first in new[] { MiB, 2 * MiB, MiB + 1 })
        {
            Assert.Equal(_content[first..], await PartAsync(node, first));
        }

        Assert.Single(Resolver.FollowQuestions);
    }

    [Fact]
    public async Task A_part_that_the_node_does_not_give_comes_from_another()
    {
        var parent = Add(new ScriptedPeer(call => call.Range!.Value.First == MiB
            ? call.SendAsync(_content)
            : call.SendRawAsync("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")));
        var other = Add(ScriptedPeer.Good(_content));
        var node = await AskerAsync();
        Follow(parent.AsHolder("node-b").Node, other.AsHolder("node-c").Node);

        Assert.Equal(_content[MiB..], await PartAsync(node, MiB));
        Assert.Equal(_content[(2 * MiB)..], await PartAsync(node, 2 * MiB));

        Assert.Equal(["", "node-b"], Resolver.FollowQuestions.Select(question => string.Join(',', question.Failed)));
    }

    [Fact]
    public async Task A_part_waits_until_another_has_been_told_whom_to_follow()
    {
        var parent = Add(ScriptedPeer.Good(_content));
        var node = await AskerAsync();
        using var answered = new SemaphoreSlim(0);
        Resolver.Following = question => answered.Wait(TimeSpan.FromSeconds(30))
            ? new FollowAnswer(question.Digest, 1, parent.AsHolder("node-b").Node)
            : new FollowAnswer(question.Digest, 0);

        var first = PartAsync(node, MiB);
        await EventuallyAsync(() => Resolver.FollowQuestions.Count == 1);
        var second = PartAsync(node, 2 * MiB);
        await Task.Delay(100);
        answered.Release();

        Assert.Equal(_content[MiB..], await first);
        Assert.Equal(_content[(2 * MiB)..], await second);
        Assert.Single(Resolver.FollowQuestions);
    }

    [Fact]
    public async Task A_part_goes_where_another_goes_when_the_node_that_both_follow_is_gone()
    {
        var gone = Add(new ScriptedPeer(async call =>
        {
            if (call.Range?.First == 2 * MiB)
            {
                await call.SendRawAsync("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
                return;
            }

            await call.SendAsync(_content, upTo: 1000);
            await EventuallyAsync(() => _gone);
            call.Cut();
        }));
        var other = Add(ScriptedPeer.Good(_content));
        var node = await AskerAsync();
        Follow(gone.AsHolder("node-b").Node, other.AsHolder("node-c").Node);

        var first = PartAsync(node, MiB);
        await EventuallyAsync(() => gone.Calls == 1);
        var second = PartAsync(node, 2 * MiB);
        await EventuallyAsync(() => gone.Calls >= 2);
        _gone = true;

        Assert.Equal(_content[MiB..], await first);
        Assert.Equal(_content[(2 * MiB)..], await second);
        Assert.Equal(["", "node-b"], Resolver.FollowQuestions.Select(question => string.Join(',', question.Failed)));
    }

    [Fact]
    public async Task A_part_is_given_although_no_resolver_answers_any_longer()
    {
        var parent = Add(ScriptedPeer.Good(_content));
        var node = await AskerAsync();
        Follow(parent.AsHolder("node-b").Node);

        Assert.Equal(_content[MiB..], await PartAsync(node, MiB));
        Resolver.Failing = TakenInTurn.Answering([], 503);
        await Task.Delay(150);

        Assert.Equal(_content[(2 * MiB)..], await PartAsync(node, 2 * MiB));
    }

    [Fact]
    public async Task Who_is_silent_and_answers_is_given_time_to_find_another_source()
    {
        var answered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var parent = Add(new ScriptedPeer(async call =>
        {
            if (call.IsHead)
            {
                await call.SendRawAsync("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
                answered.TrySetResult();
                return;
            }

            await call.SendAsync(_content, upTo: MiB);
            await answered.Task.WaitAsync(call.Stopping);
            await call.SendMoreAsync(_content.AsMemory(MiB));
        }));
        var node = await AskerAsync(settings: ("Blob:StallBudget", "00:00:00.200"));
        Follow(parent.AsHolder("node-b").Node);

        Assert.Equal(_content, await node.Http.GetByteArrayAsync(Path(Digest.OfSha256(_content))));

        Assert.Single(Resolver.FollowQuestions);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Who_is_silent_is_left_when_it_does_not_answer_or_for_too_long(bool answers)
    {
        var silent = Add(new ScriptedPeer(async call =>
        {
            if (!call.IsHead)
            {
                await call.SendAsync(_content, upTo: MiB);
                await call.StallAsync();
            }

            await (answers ? call.SendRawAsync("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n") : call.StallAsync());
        }));
        var other = Add(ScriptedPeer.Good(_content));
        var node = await AskerAsync(settings: [("Blob:StallBudget", "00:00:00.100"), ("Blob:PeerConnectBudget", "00:00:01"), ("Blob:FollowStartBudget", "00:00:02")]);
        Follow(silent.AsHolder("node-b").Node, other.AsHolder("node-c").Node);

        Assert.Equal(_content, await node.Http.GetByteArrayAsync(Path(Digest.OfSha256(_content))));

        Assert.Equal(["", "node-b"], Resolver.FollowQuestions.Select(question => string.Join(',', question.Failed)));
        Assert.Contains($"Range: bytes={MiB}-", Assert.Single(other.Heads), StringComparison.Ordinal);
        Assert.Contains(silent.Heads, head => head.StartsWith("HEAD /v2/ ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_parent_that_says_nothing_for_one_layer_is_not_asked_for_the_next()
    {
        var silent = Add(new ScriptedPeer(call => call.StallAsync()));
        var node = await NodeAsync(settings: Impatient);
        Follow(silent.AsHolder("node-b").Node);
        foreach (var number in Enumerable.Range(1, 3))
        {
            var digest = new Download(node, TestContent.Bytes(Big, seed: number)).Digest;
            using var response = await node.GetAsync($"/v2/app/blobs/{digest}?ns=docker.io");
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        }

        Assert.Single(silent.Heads, head => head.StartsWith("GET ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_parent_that_has_it_meanwhile_and_is_still_checking_it_has_not_failed()
    {
        var asked = 0;
        var parent = Add(new ScriptedPeer(call => Interlocked.Increment(ref asked) < 3
            ? call.SendRawAsync($"HTTP/1.1 503 Service Unavailable\r\n{SpegelHeaders.Checking}: 1\r\nContent-Length: 0\r\n\r\n")
            : call.SendAsync(_content)));
        var node = await AskerAsync();
        Follow(parent.AsHolder("node-b").Node);

        Assert.Equal(_content, await node.Http.GetByteArrayAsync(Path(Digest.OfSha256(_content))));

        Assert.Equal(3, parent.Calls);
        Assert.Single(Resolver.FollowQuestions);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task A_node_that_is_held_up_follows_the_one_that_is_ahead(int nodesBetween)
    {
        var content = TestContent.Bytes(8 * MiB);
        var ahead = Add(new ScriptedPeer(call => call.IsHead ? call.TellProgressAsync(content.Length) : call.SendAsync(content)));
        Resolver.Knows(ahead.AsHolder("node-ahead").Node);
        var between = Enumerable.Range(1, nodesBetween).Select(number => Add(new ScriptedPeer(async call =>
        {
            if (call.IsHead)
            {
                await call.TellProgressAsync(MiB, number == nodesBetween ? "node-ahead" : $"node-{number + 1}", fastest: 1000);
                return;
            }

            await call.SendAsync(content, upTo: MiB);
            await call.StallAsync();
        })).AsHolder($"node-{number}").Node).ToList();
        between.ForEach(slow => Resolver.Knows(slow));
        var node = await NodeAsync(settings: ("Blob:StallBudget", "00:10:00"));
        var digest = new Download(node, content).Digest;
        Follow(between[0]);

        Assert.Equal(content, await node.Http.GetByteArrayAsync(Path(digest)));

        Assert.Contains($"Range: bytes={MiB}-", Assert.Single(ahead.Heads, head => head.StartsWith("GET ", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Single(Resolver.FollowQuestions);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Who_leaves_a_node_that_is_slow_by_its_own_account_says_so_and_asks_for_another_when_its_source_has_no_place(bool hasPlace)
    {
        var content = TestContent.Bytes(8 * MiB);
        var ahead = Add(new ScriptedPeer(call =>
            call.IsHead ? call.TellProgressAsync(content.Length, fastest: 100 * MiB) : hasPlace ? call.SendAsync(content) : DeclineAsync(call, "node-b")));
        var other = Add(ScriptedPeer.Good(content));
        var slow = Add(new ScriptedPeer(async call =>
        {
            if (call.IsHead)
            {
                await call.TellProgressAsync(MiB, "node-ahead", fastest: MiB);
                return;
            }

            await call.SendAsync(content, upTo: MiB);
            await call.StallAsync();
        }));
        Resolver.Knows(ahead.AsHolder("node-ahead").Node);
        var node = await NodeAsync(settings: ("Blob:StallBudget", "00:10:00"));
        var digest = new Download(node, content).Digest;
        Resolver.Following = question => new FollowAnswer(digest, 1, (question.Slow is null ? slow.AsHolder("node-b") : other.AsHolder("node-c")).Node);

        Assert.Equal(content, await node.Http.GetByteArrayAsync(Path(digest)));

        await EventuallyAsync(() => Resolver.FollowQuestions.Count == 2);
        var told = Resolver.FollowQuestions.Last();
        Assert.Equal(("node-b", hasPlace, hasPlace ? 0 : 1), (told.Slow?.ToString(), told.OnlyTells, told.Declined?.Count ?? 0));
        Assert.Equal(hasPlace ? 0 : 1, other.Calls);
    }

    [Fact]
    public async Task A_node_to_which_little_comes_of_what_its_parent_has_tells_that_it_is_slow_and_says_so_for_the_next_layer()
    {
        var content = TestContent.Bytes(8 * MiB);
        var hasTold = new TaskCompletionSource();
        var parent = Add(new ScriptedPeer(async call =>
        {
            if (call.IsHead)
            {
                await call.TellProgressAsync(7 * MiB, fastest: 100 * MiB);
                return;
            }

            await call.SendAsync(content, upTo: MiB);
            for (var at = MiB; !hasTold.Task.IsCompleted && at < 2 * MiB; at += 10_000)
            {
                await call.SendMoreAsync(content.AsMemory(at, 10_000));
                await Task.WhenAny(hasTold.Task, Task.Delay(100, call.Stopping));
            }

            await call.StallAsync();
        }));
        var node = await NodeAsync(settings: ("Blob:StallBudget", "00:10:00"));
        var digest = new Download(node, content).Digest;
        Resolver.Following = question =>
        {
            if (question.OnlyTells)
            {
                hasTold.TrySetResult();
            }

            return new FollowAnswer(question.Digest, 1, parent.AsHolder("node-b").Node, Order: 7);
        };
        using var response = await node.Http.GetAsync(Path(digest), HttpCompletionOption.ResponseHeadersRead);
        _ = response.Content.ReadAsByteArrayAsync();
        await hasTold.Task.WaitAsync(TimeSpan.FromSeconds(30));
        var next = new Download(node, TestContent.Bytes(8 * MiB + 1)).Digest;
        using var another = await node.Http.GetAsync(Path(next), HttpCompletionOption.ResponseHeadersRead);

        Assert.Equal([(null, false), ("node-a", true), ("node-a", false)], Resolver.FollowQuestions.Select(question => (question.Slow?.ToString(), question.OnlyTells)));
        Assert.Equal(7, Resolver.FollowQuestions.ElementAt(1).Order);
    }

    [Theory]
    [InlineData(5 * MiB, HttpStatusCode.PartialContent)]
    [InlineData((5 * MiB) + 1, HttpStatusCode.ServiceUnavailable)]
    public async Task A_node_that_is_behind_who_asks_declines(int first, HttpStatusCode status)
    {
        var parent = await NodeAsync("node-b");
        var download = new Download(parent, TestContent.Bytes(8 * MiB)).GrowTo(MiB);
        using var request = new HttpRequestMessage(HttpMethod.Get, Path(download.Digest));
        request.Headers.Add(SpegelHeaders.Peer, "eu/a/node-z");
        request.Headers.Add(SpegelHeaders.Follow, "1");
        request.Headers.Add(SpegelHeaders.Refer, "1");
        request.Headers.Range = new RangeHeaderValue(first, null);

        using var response = await parent.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);

        Assert.Equal(status, response.StatusCode);
        Assert.Equal(status == HttpStatusCode.ServiceUnavailable, response.Headers.Contains(SpegelHeaders.Declined));
    }

    [Fact]
    public async Task A_node_that_gives_all_it_has_as_fast_as_those_before_it_is_kept()
    {
        var content = TestContent.Bytes(8 * MiB);
        var looks = 0;
        var source = Add(new ScriptedPeer(call => call.TellProgressAsync(2 * MiB)));
        var parent = Add(new ScriptedPeer(async call =>
        {
            if (call.IsHead)
            {
                Interlocked.Increment(ref looks);
                await call.TellProgressAsync(MiB, "node-c");
                return;
            }

            await call.SendAsync(content, upTo: MiB);
            for (var deadline = DateTime.UtcNow.AddSeconds(30); Volatile.Read(ref looks) < 2 && DateTime.UtcNow < deadline;)
            {
                await Task.Delay(10, call.Stopping);
            }

            await call.SendMoreAsync(content.AsMemory(MiB));
        }));
        Resolver.Knows(source.AsHolder("node-c").Node);
        var node = await NodeAsync(settings: ("Blob:StallBudget", "00:10:00"));
        var digest = new Download(node, content).Digest;
        Follow(parent.AsHolder("node-b").Node);

        Assert.Equal(content, await node.Http.GetByteArrayAsync(Path(digest)));

        Assert.Equal(2, looks);
        Assert.DoesNotContain(source.Heads, head => head.StartsWith("GET ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_node_that_is_fed_by_this_one_is_left_and_not_reported()
    {
        var content = TestContent.Bytes(8 * MiB);
        var parent = Add(new ScriptedPeer(async call =>
        {
            if (call.IsHead)
            {
                await call.TellProgressAsync(MiB, "node-a");
                return;
            }

            await call.SendAsync(content, upTo: MiB);
            await call.StallAsync();
        }));
        var other = Add(ScriptedPeer.Good(content));
        var node = await NodeAsync(settings: ("Blob:StallBudget", "00:10:00"));
        var digest = new Download(node, content).Digest;
        Resolver.Following = question =>
            new FollowAnswer(digest, 1, (question.Declined!.Count == 0 ? parent.AsHolder("node-b") : other.AsHolder("node-c")).Node);

        Assert.Equal(content, await node.Http.GetByteArrayAsync(Path(digest)));

        Assert.Equal([("", ""), ("", "node-b")], Resolver.FollowQuestions.Select(question => (string.Join(',', question.Failed), string.Join(',', question.Declined!))));
    }

    [Fact]
    public async Task A_node_that_is_ahead_and_does_not_give_it_is_no_reason_to_lose_the_one_that_does_and_is_not_asked_again()
    {
        var content = TestContent.Bytes(8 * MiB);
        var (parts, looks) = (0, 0);
        var hasLookedOn = new TaskCompletionSource();
        var parent = Add(new ScriptedPeer(async call =>
        {
            if (call.IsHead)
            {
                await call.TellProgressAsync(MiB, "node-ahead", fastest: 1000);
                if (Volatile.Read(ref parts) > 1 && Interlocked.Increment(ref looks) == 3)
                {
                    hasLookedOn.TrySetResult();
                }

                return;
            }

            var part = Interlocked.Increment(ref parts);
            await call.SendAsync(content, upTo: part < 3 ? MiB : null);
            if (part == 1)
            {
                await call.StallAsync();
            }
            else if (part == 2)
            {
                await hasLookedOn.Task.WaitAsync(call.Stopping);
                await call.SendMoreAsync(content.AsMemory(2 * MiB));
            }
        }));
        var ahead = Add(new ScriptedPeer(call => call.IsHead ? call.TellProgressAsync(content.Length) : call.SendRawAsync("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")));
        Resolver.Knows(ahead.AsHolder("node-ahead").Node);
        var node = await NodeAsync(settings: ("Blob:StallBudget", "00:10:00"));
        var digest = new Download(node, content).Digest;
        Follow(parent.AsHolder("node-b").Node);

        Assert.Equal(content, await node.Http.GetByteArrayAsync(Path(digest)));

        Assert.Single(ahead.Heads, head => head.StartsWith("GET ", StringComparison.Ordinal));
        Assert.Equal(2, parts);
        Assert.Single(Resolver.FollowQuestions);
    }

    [Fact]
    public async Task A_node_that_declines_is_not_reported_and_another_is_followed()
    {
        var content = TestContent.Bytes(2 * MiB);
        var busy = Add(new ScriptedPeer(call => DeclineAsync(call, "")));
        var other = Add(ScriptedPeer.Good(content));
        var node = await NodeAsync();
        var digest = new Download(node, content).Digest;
        Resolver.Following = question =>
            new FollowAnswer(digest, 1, (question.Declined!.Count == 0 ? busy.AsHolder("node-b") : other.AsHolder("node-c")).Node);

        Assert.Equal(content, await node.Http.GetByteArrayAsync(Path(digest)));

        var last = Resolver.FollowQuestions.Last();
        Assert.Equal((0, "node-b"), (last.Failed.Count, last.Declined!.Single().ToString()));
    }

    [Fact]
    public async Task One_that_has_declined_and_is_told_again_has_to_give_it()
    {
        var content = TestContent.Bytes(2 * MiB);
        var busy = Add(new ScriptedPeer(call => call.Has(SpegelHeaders.Refer) ? DeclineAsync(call, "") : call.SendAsync(content)));
        var node = await NodeAsync();
        var digest = new Download(node, content).Digest;
        Resolver.Following = _ => new FollowAnswer(digest, 1, busy.AsHolder("node-b").Node);

        Assert.Equal(content, await node.Http.GetByteArrayAsync(Path(digest)));

        Assert.Equal(2, busy.Calls);
        Assert.All(Resolver.FollowQuestions, question => Assert.Empty(question.Failed));
    }

    [Fact]
    public async Task A_node_declines_to_feed_the_one_that_feeds_it()
    {
        var content = TestContent.Bytes(4 * MiB);
        var lead = Add(new ScriptedPeer(async call =>
        {
            await call.SendAsync(content, upTo: MiB);
            await call.StallAsync();
        }));
        var node = await NodeAsync("node-b");
        var digest = new Download(node, content).Digest;
        Follow(lead.AsHolder("node-c").Node);
        using var pull = await node.Http.GetAsync(Path(digest), HttpCompletionOption.ResponseHeadersRead);

        foreach (var (asker, status) in new[] { ("node-c", HttpStatusCode.ServiceUnavailable), ("node-z", HttpStatusCode.OK) })
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, Path(digest));
            request.Headers.Add(SpegelHeaders.Peer, $"eu/a/{asker}");
            request.Headers.Add(SpegelHeaders.Follow, "1");
            using var response = await node.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);

            Assert.Equal(status, response.StatusCode);
            Assert.Equal(status != HttpStatusCode.OK, response.Headers.Contains(SpegelHeaders.Declined));
        }
    }

    [Fact]
    public async Task A_node_that_asks_again_says_which_place_it_was_told()
    {
        var content = TestContent.Bytes(2 * MiB);
        var gone = Add(new ScriptedPeer(call => call.SendRawAsync("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")));
        var other = Add(ScriptedPeer.Good(content));
        var node = await NodeAsync();
        var digest = new Download(node, content).Digest;
        Resolver.Following = question => new FollowAnswer(digest, 1, (question.Failed.Count == 0 ? gone.AsHolder("node-b") : other.AsHolder("node-c")).Node, Order: 7);

        Assert.Equal(content, await node.Http.GetByteArrayAsync(Path(digest)));

        Assert.Equal([null, 7], Resolver.FollowQuestions.Select(question => question.Order));
    }

    [Fact]
    public async Task Of_a_lead_that_is_slow_the_resolver_is_asked_once()
    {
        var content = TestContent.Bytes(8 * MiB);
        var progress = MiB;
        var parent = Add(new ScriptedPeer(async call =>
        {
            if (call.IsHead)
            {
                await call.TellProgressAsync(Interlocked.Add(ref progress, 1000));
                return;
            }

            await call.SendAsync(content, upTo: MiB);
            await call.StallAsync();
        }));
        var node = await NodeAsync(settings: ("Blob:StallBudget", "00:10:00"));
        var digest = new Download(node, content).Digest;
        Resolver.Following = question => question.Slow is null ? new FollowAnswer(digest, 1, parent.AsHolder("node-b").Node) : new FollowAnswer(digest, 0);

        using var response = await node.Http.GetAsync(Path(digest), HttpCompletionOption.ResponseHeadersRead);

        await Assert.ThrowsAnyAsync<Exception>(() => response.Content.ReadAsByteArrayAsync());
        Assert.Equal([null, "node-b"], Resolver.FollowQuestions.Select(question => question.Slow?.ToString()));
        Assert.All(Resolver.FollowQuestions, question => Assert.Empty(question.Failed));
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public async Task A_holder_that_gives_far_less_than_upstream_is_left_once_for_it_or_for_a_node_that_is_fetching_the_same(bool isAnotherFetching, bool hasFetchedUpstream)
    {
        var content = TestContent.Bytes(8 * MiB);
        var holder = Add(new ScriptedPeer(async call =>
        {
            if (call.IsHead)
            {
                await call.TellProgressAsync(content.Length, upstream: hasFetchedUpstream ? null : 8 * MiB);
                return;
            }

            await call.SendAsync(content, upTo: MiB);
            for (var at = MiB; at < content.Length; at += 10_000)
            {
                await call.SendMoreAsync(content.AsMemory(at, Math.Min(10_000, content.Length - at)));
                await Task.Delay(100, call.Stopping);
            }
        })).AsHolder("node-b");
        var other = Add(new ScriptedPeer(call => call.IsHead ? call.TellProgressAsync(content.Length) : call.SendAsync(content))).AsHolder("node-c").Node;
        var node = await NodeAsync();
        if (hasFetchedUpstream)
        {
            await LearnUpstreamAsync(node, bytes: 8 * MiB, seconds: 1);
        }

        var digest = new Download(node, content).Digest;
        Resolver.Holds(digest, holder);
        await LearnSizeAsync(node, digest, content.Length);
        Resolver.Following = question =>
            question.Slow is null ? new FollowAnswer(digest, 1, holder.Node) : isAnotherFetching ? new FollowAnswer(digest, 1, other) : new FollowAnswer(digest, 0);

        var path = $"/v2/app/blobs/{digest}?ns=docker.io";
        using var response = await node.GetAsync(path);
        var whole = response.Content.ReadAsByteArrayAsync();

        if (isAnotherFetching)
        {
            Assert.Equal(content, await whole);
        }
        else
        {
            // containerd asks for the rest at once, and then goes upstream.
            await Assert.ThrowsAnyAsync<Exception>(() => whole);
            using var rest = await node.GetAsync(path, ("Range", $"bytes={MiB}-"));
            Assert.Equal(HttpStatusCode.NotFound, rest.StatusCode);

            // Who comes back has not got it there.
            await EventuallyAsync(async () =>
            {
                using var again = await node.GetAsync(path, ("Range", $"bytes={MiB}-"));
                return again.StatusCode == HttpStatusCode.PartialContent;
            });
        }

        Assert.Equal("node-b", Assert.Single(Resolver.FollowQuestions, question => question.Slow is not null).Slow!.Value.ToString());
    }

    [Fact]
    public async Task A_node_tells_how_far_it_has_come_and_from_whom()
    {
        var (parent, node) = (await NodeAsync("node-b"), await AskerAsync());
        var download = new Download(parent, _content).GrowTo(MiB);
        Follow(parent);
        using var following = await node.Http.GetAsync(Path(download.Digest), HttpCompletionOption.ResponseHeadersRead);
        var body = await following.Content.ReadAsStreamAsync();
        await body.ReadExactlyAsync(new byte[MiB]);

        Assert.Equal((MiB.ToString(CultureInfo.InvariantCulture), null), await ProgressAsync(parent));
        Assert.Equal((MiB.ToString(CultureInfo.InvariantCulture), "node-b"), await ProgressAsync(node));
        download.Commit();
        Assert.Equal((Big.ToString(CultureInfo.InvariantCulture), null), await ProgressAsync(parent));
        Assert.True(await parent.MetricAsync("spegel_dapr_blob_requests_total", "outcome=\"progress\"", "requester=\"peer\"") >= 2);

        async Task<(string?, string?)> ProgressAsync(BlobNode of)
        {
            using var answer = await of.SendAsync(HttpMethod.Head, $"/v2/app/blobs/{download.Digest}", (SpegelHeaders.Peer, "eu/a/node-x"), (SpegelHeaders.Follow, "1"));
            return (Header(SpegelHeaders.Progress), Header(SpegelHeaders.Source));

            string? Header(string name) => answer.Headers.TryGetValues(name, out var values) ? values.Single() : null;
        }
    }

    [Theory]
    [InlineData(1, 5, true)]
    [InlineData(4, 5, true)]
    [InlineData(5, 5, true)]
    [InlineData(1, 3, false)]
    public async Task Holders_of_a_large_layer_are_followed_as_the_resolver_says_so_that_they_are_not_all_asked_at_once(int holders, int mebibytes, bool follows)
    {
        var content = TestContent.Bytes(mebibytes * MiB);
        var node = await NodeAsync();
        var digest = new Download(node, content).Digest;
        var peers = Enumerable.Range(1, holders).Select(number => Add(ScriptedPeer.Good(content)).AsHolder($"holder-{number}")).ToArray();
        Resolver.Holds(digest, peers);
        await LearnSizeAsync(node, digest, content.Length);
        var parent = Add(ScriptedPeer.Good(content));
        Follow(parent.AsHolder("node-b").Node);

        Assert.Equal(content, await node.Http.GetByteArrayAsync(Path(digest)));

        Assert.Equal(follows ? 1 : 0, parent.Calls);
        var named = Resolver.FollowQuestions.SelectMany(question => question.Holders!).ToHashSet();
        Assert.Equal(follows ? Math.Min(holders, FollowRequest.MaxHolders) : 0, named.Count);
        Assert.Subset(peers.Select(peer => peer.Node.Name).ToHashSet(), named);
    }

    [Fact]
    public async Task A_holder_that_is_told_is_asked_before_the_others()
    {
        var content = TestContent.Bytes(5 * MiB);
        var (node, digest, peers) = await LargeAsync(content, Add(ScriptedPeer.Good(content)), Add(ScriptedPeer.Good(content)), Add(ScriptedPeer.Good(content)));
        Follow(peers[1].AsHolder("holder-1").Node);

        Assert.Equal(content, await node.Http.GetByteArrayAsync(Path(digest)));

        Assert.Equal([0, 1, 0], peers.Select(peer => peer.Calls));
    }

    [Fact]
    public async Task A_busy_holder_refers_to_a_node_that_fetches_from_it_and_that_one_is_followed()
    {
        var content = TestContent.Bytes(5 * MiB);
        var referred = Add(ScriptedPeer.Good(content));
        Resolver.Knows(referred.AsHolder("node-x").Node);
        var (node, digest, holder) = await LargeAsync(content, Add(new ScriptedPeer(call => DeclineAsync(call, "node-gone,node-x"))));
        Follow(holder[0].AsHolder("holder-0").Node);

        Assert.Equal(content, await node.Http.GetByteArrayAsync(Path(digest)));

        Assert.Contains($"{SpegelHeaders.Refer}: 1", Assert.Single(holder[0].Heads), StringComparison.Ordinal);
        Assert.Contains($"{SpegelHeaders.Follow}: 1", Assert.Single(referred.Heads), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_busy_holder_that_refers_to_nobody_is_asked_again_and_has_to_give_it()
    {
        var content = TestContent.Bytes(5 * MiB);
        var (node, digest, holder) = await LargeAsync(
            content, Add(new ScriptedPeer(call => call.Has(SpegelHeaders.Refer) ? DeclineAsync(call, "") : call.SendAsync(content))));
        Follow(holder[0].AsHolder("holder-0").Node);

        Assert.Equal(content, await node.Http.GetByteArrayAsync(Path(digest)));

        Assert.Equal(2, holder[0].Calls);
    }

    [Fact]
    public async Task When_all_places_are_taken_the_next_peer_is_told_at_once_who_fetches_the_same()
    {
        var content = TestContent.Bytes(5 * MiB);
        var node = await NodeAsync("node-b");
        var digest = node.Keep(content);
        var fed = new List<HttpResponseMessage>();
        try
        {
            for (var i = 0; ; i++)
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, Path(digest));
                request.Headers.Add(SpegelHeaders.Peer, $"eu/a/node-{i}");
                request.Headers.Add(SpegelHeaders.Refer, "1");
                var response = await node.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
                fed.Add(response);
                if (!response.IsSuccessStatusCode)
                {
                    break;
                }
            }

            Assert.Equal(5, fed.Count);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, fed[^1].StatusCode);
            Assert.Equal("node-3,node-2,node-1,node-0", fed[^1].Headers.GetValues(SpegelHeaders.Declined).Single());
        }
        finally
        {
            fed.ForEach(response => response.Dispose());
        }
    }

    private static Task DeclineAsync(ScriptedPeer.Call call, string referrals) =>
        call.SendRawAsync($"HTTP/1.1 503 Service Unavailable\r\n{SpegelHeaders.Declined}: {referrals}\r\nContent-Length: 0\r\n\r\n");

    /// <summary>A node that is about to fetch content of which it knows the length, and that these peers hold.</summary>
    private async Task<(BlobNode Node, Digest Digest, ScriptedPeer[] Holders)> LargeAsync(byte[] content, params ScriptedPeer[] holders)
    {
        var node = await NodeAsync();
        var digest = new Download(node, content).Digest;
        Resolver.Holds(digest, [.. holders.Select((holder, i) => holder.AsHolder($"holder-{i}"))]);
        await LearnSizeAsync(node, digest, content.Length);
        return (node, digest, holders);
    }

    [Fact]
    public async Task A_silent_holder_beyond_the_zone_is_left_although_it_answers()
    {
        var silent = Add(new ScriptedPeer(async call =>
        {
            await call.SendAsync(_content, upTo: MiB);
            await (call.IsHead ? Task.CompletedTask : call.StallAsync());
        }));
        var node = await AskerAsync(settings: [("Blob:StallBudget", "00:00:00.100"), ("Blob:FollowStartBudget", "00:10:00")]);
        Resolver.Holds(Digest.OfSha256(_content), silent.AsHolder("far", "eu/b"), Add(ScriptedPeer.Good(_content)).AsHolder("farther", "us/a"));

        Assert.Equal(_content, await node.Http.GetByteArrayAsync(Path(Digest.OfSha256(_content))));
    }

    [Fact]
    public async Task Who_looks_for_another_source_keeps_those_that_follow_it()
    {
        var frozen = Add(new ScriptedPeer(async call =>
        {
            await (call.IsHead ? call.StallAsync() : call.SendAsync(_content, upTo: MiB));
            await call.StallAsync();
        }));
        var middle = await AskerAsync("node-b", ("Blob:StallBudget", "00:00:01"), ("Blob:PeerConnectBudget", "00:00:03"));
        var last = await AskerAsync("node-c");
        var download = _downloads[middle];
        Resolver.Following = question =>
            question.Node == last.Identity.Name ? new FollowAnswer(question.Digest, 2, middle.Identity)
            : question.Failed.Count == 0 ? new FollowAnswer(question.Digest, 1, frozen.AsHolder("node-a").Node)
            : new FollowAnswer(question.Digest, 0);

        using var toContainerd = await middle.GetAsync($"/v2/app/blobs/{download.Digest}");
        using var response = await last.GetAsync($"/v2/app/blobs/{download.Digest}");
        await using var body = await toContainerd.Content.ReadAsStreamAsync();
        await Assert.ThrowsAnyAsync<IOException>(() => body.ReadExactlyAsync(new byte[Big]).AsTask());
        download.Commit();

        Assert.Equal(_content, await response.Content.ReadAsByteArrayAsync());
        Assert.Equal(["node-b", "node-b", "node-c"], Resolver.FollowQuestions.Select(question => question.Node.ToString()).Order());
    }

    [Fact]
    public async Task An_explanation_says_who_is_in_flight()
    {
        var node = await AskerAsync();
        Resolver.InFlight = [new InFlightNode(NodeName.Parse("node-b"), DateTimeOffset.UnixEpoch), new InFlightNode(NodeName.Parse("node-c"), DateTimeOffset.UnixEpoch, NodeName.Parse("node-b"))];

        var explanation = (await node.Http.GetFromJsonAsync(
            new Uri($"{Explanation.Path}?key={Digest.OfSha256(_content)}", UriKind.Relative), ContractsJson.Default.Explanation))!;

        Assert.Equal(Resolver.InFlight, explanation.InFlight);
        Assert.Equal(Tier.SameZone, explanation.Decision);
    }

    /// <summary>A node that does not wait long for a download to appear.</summary>
    private static (string Key, string Value) Impatient => ("Blob:PeerConnectBudget", "00:00:00.100");

    private static Uri Path(Digest digest) => new($"/v2/app/blobs/{digest}", UriKind.Relative);

    private static async Task<byte[]> PartAsync(BlobNode node, int first)
    {
        using var response = await node.GetAsync(Path(Digest.OfSha256(TestContent.Bytes(Big))).ToString(), ("Range", $"bytes={first}-"));
        Assert.Equal(HttpStatusCode.PartialContent, response.StatusCode);
        return await response.Content.ReadAsByteArrayAsync();
    }

    private static Task EventuallyAsync(Func<bool> holds) => EventuallyAsync(() => Task.FromResult(holds()));

    private static async Task EventuallyAsync(Func<Task<bool>> holds)
    {
        for (var deadline = DateTime.UtcNow.AddSeconds(30); !await holds(); await Task.Delay(20))
        {
            Assert.True(DateTime.UtcNow < deadline, "It does not come to hold.");
        }
    }

    /// <summary>Has the resolver name these nodes, one after the other as those before have failed; then the asking node leads.</summary>
    private void Follow(params NodeIdentity[] parents) => Resolver.Following = question =>
        parents.FirstOrDefault(parent => !question.Failed.Contains(parent.Name)) is { } next ? new FollowAnswer(question.Digest, 1, next) : new FollowAnswer(question.Digest, 0);

    private void Follow(params BlobNode[] parents) => Follow([.. parents.Select(parent => parent.Identity)]);

    /// <summary>Has a node miss content, and then come by it as from upstream.</summary>
    private static async Task LearnUpstreamAsync(BlobNode node, int bytes, int seconds)
    {
        var content = TestContent.Bytes(bytes, seed: 99);
        using var miss = await node.GetAsync($"/v2/app/blobs/{Digest.OfSha256(content)}?ns=docker.io");
        var written = System.IO.Path.Combine(node.Directory, "written");
        await File.WriteAllBytesAsync(written, content);
        File.SetLastWriteTimeUtc(written, DateTime.UtcNow.AddSeconds(seconds));
        File.Move(written, node.PathOf(Digest.OfSha256(content)));
        var explain = new Uri($"{Explanation.Path}?key={Digest.OfSha256([1])}&ns=docker.io", UriKind.Relative);
        await EventuallyAsync(async () => (await node.Http.GetFromJsonAsync(explain, ContractsJson.Default.Explanation))!.Upstream.Route.BytesPerSecond is not null);
    }

    /// <summary>Has a node read a manifest that says how long a layer is.</summary>
    private static async Task LearnSizeAsync(BlobNode node, Digest layer, long bytes)
    {
        var manifest = node.Keep(TestContent.ImageManifest(Digest.OfSha256([1]), [(layer, bytes)]));
        using var read = await node.GetAsync($"/v2/app/manifests/{manifest}?ns=docker.io");
    }

    private async Task<BlobNode> NodeAsync(string name = "node-a", params (string Key, string Value)[] settings) =>
        Add(await BlobNode.StartAsync(Resolver, name, settings));

    /// <summary>A node whose containerd has begun to download the content.</summary>
    private async Task<BlobNode> AskerAsync(string name = "node-a", params (string Key, string Value)[] settings)
    {
        var node = await NodeAsync(name, settings);
        _downloads[node] = new Download(node, _content);
        return node;
    }
}
