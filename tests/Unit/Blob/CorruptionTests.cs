using System.Net;
using System.Net.Http.Json;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

/// <summary>Wrong bytes stay where they came from.</summary>
public sealed class CorruptionTests : BlobTests
{
    private const int MiB = 1024 * 1024;

    private readonly byte[] _content = TestContent.Bytes((5 * MiB) + 12_345);

    [Fact]
    public async Task A_node_in_the_middle_that_flips_bytes_fails_no_pull_and_is_the_only_one_that_is_shunned()
    {
        var digest = Digest.OfSha256(_content);
        var nodes = new List<BlobNode>();
        for (var number = 1; number <= 8; number++)
        {
            nodes.Add(Add(await BlobNode.StartAsync(Resolver, $"node-{number}")));
        }

        var guilty = nodes[3];
        var identities = nodes.ConvertAll(node => node.Identity);
        identities[3] = Add(new FlippingProxy(guilty.Uri, at: 2 * MiB)).Before(guilty.Identity);
        Resolver.Following = question =>
        {
            var before = nodes.FindIndex(node => node.Identity.Name == question.Node) - 1;
            while (before >= 0 && question.Failed.Contains(identities[before].Name))
            {
                before--;
            }

            return before < 0 ? new FollowAnswer(digest, 0) : new FollowAnswer(digest, before + 1, identities[before]);
        };
        var lead = new Download(nodes[0], _content).GrowTo(MiB);

        var pulls = nodes.Skip(1).Select(node => PullAsync(node)).ToList();
        for (var length = MiB; length < _content.Length; length += MiB)
        {
            lead.GrowTo(length);
            await Task.Delay(20);
        }

        lead.Commit();
        var pulled = await Task.WhenAll(pulls);

        Assert.All(pulled, content => Assert.Equal(_content, content));
        Assert.Equal(1, await nodes[0].MetricAsync("spegel_dapr_blob_shunned_total"));
        Resolver.Holds(digest, [.. identities.Select(node => new Holder(node, Tier.SameZone))]);
        File.Delete(nodes[4].PathOf(digest));
        Assert.Equal(
            ["node-4"],
            (await CandidatesAsync(nodes[4], digest))
                .Where(candidate => candidate.Reason == "it has sent corrupt bytes of this content")
                .Select(candidate => candidate.Node.ToString()));
    }

    [Theory]
    [InlineData(true, "perhaps by another's fault")]
    [InlineData(false, "it has sent")]
    public async Task What_does_not_match_its_digest_is_relayed_no_longer_and_its_followers_are_cut(bool isRelayed, string verdict)
    {
        var wrong = TestContent.Flipped(_content, MiB);
        var go = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var source = Add(new ScriptedPeer(async call =>
        {
            await call.SendRawAsync($"HTTP/1.1 200 OK\r\nContent-Length: {wrong.Length}\r\n{(isRelayed ? $"{SpegelHeaders.Relayed}: 1\r\n" : "")}\r\n");
            await call.SendMoreAsync(wrong.AsMemory(0, 4 * MiB));
            await go.Task.WaitAsync(call.Stopping);
            await call.SendMoreAsync(wrong.AsMemory(4 * MiB));
        }));
        var node = Add(await BlobNode.StartAsync(Resolver));
        var download = new Download(node, wrong, _content);
        Resolver.Following = question => question.Failed.Count == 0 ? new FollowAnswer(question.Digest, 1, source.AsHolder("node-b").Node) : new FollowAnswer(question.Digest, 0);

        using var toContainerd = await node.GetAsync($"/v2/app/blobs/{download.Digest}");
        await using var received = await toContainerd.Content.ReadAsStreamAsync();
        await received.ReadExactlyAsync(new byte[4 * MiB]);
        download.GrowTo(MiB);
        using var toFollower = await FollowAsync(node, download.Digest);
        await using var followed = await toFollower.Content.ReadAsStreamAsync();
        await followed.ReadExactlyAsync(new byte[MiB]);
        go.SetResult();

        await Assert.ThrowsAnyAsync<IOException>(() => received.CopyToAsync(Stream.Null));
        await Assert.ThrowsAnyAsync<IOException>(() => followed.CopyToAsync(Stream.Null));
        using var late = await FollowAsync(node, download.Digest);
        Assert.Equal(HttpStatusCode.NotFound, late.StatusCode);
        Resolver.Holds(download.Digest, source.AsHolder("node-b"));
        Assert.Contains(verdict, (await CandidatesAsync(node, download.Digest)).Single().Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_copy_that_changes_while_it_is_sent_is_not_sent_to_its_end()
    {
        const int Length = 64 * MiB;
        var node = Add(await BlobNode.StartAsync(Resolver));
        var digest = node.Keep(TestContent.Bytes(Length));
        using var answer = await node.GetAsync($"/v2/app/blobs/{digest}");
        await using var received = await answer.Content.ReadAsStreamAsync();
        await received.ReadExactlyAsync(new byte[MiB]);

        await using (var file = new FileStream(node.PathOf(digest), FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.Position = Length - 1;
            file.WriteByte(1);
        }

        await Assert.ThrowsAnyAsync<IOException>(() => received.ReadExactlyAsync(new byte[Length - MiB]).AsTask());
    }

    [Fact]
    public async Task What_containerd_has_written_otherwise_than_it_came_goes_to_no_follower()
    {
        var source = Add(new ScriptedPeer(async call =>
        {
            await call.SendAsync(_content, upTo: 4 * MiB);
            await call.StallAsync();
        }));
        var node = Add(await BlobNode.StartAsync(Resolver));
        var download = new Download(node, TestContent.Flipped(_content, MiB + 1000), _content);
        Resolver.Following = question => new FollowAnswer(question.Digest, 1, source.AsHolder("node-b").Node);

        using var toContainerd = await node.GetAsync($"/v2/app/blobs/{download.Digest}");
        await using var received = await toContainerd.Content.ReadAsStreamAsync();
        await received.ReadExactlyAsync(new byte[4 * MiB]);
        download.GrowTo(MiB);
        using var toFollower = await FollowAsync(node, download.Digest);
        await using var followed = await toFollower.Content.ReadAsStreamAsync();
        await followed.ReadExactlyAsync(new byte[MiB]);
        download.GrowTo(2 * MiB);

        await Assert.ThrowsAnyAsync<IOException>(() => followed.ReadExactlyAsync(new byte[1]).AsTask());
        Assert.True(await node.MetricAsync("spegel_dapr_blob_corrupt_total", "where=\"ingest\"") >= 1);
    }

    [Theory]
    [InlineData(100, 101, null)]
    [InlineData(100, 99, null)]
    [InlineData(100, 100, 101L)]
    [InlineData(null, 100, 1L + (1L << 40))]
    public async Task A_length_that_cannot_be_right_ends_a_transfer_before_its_first_byte(int? told, int length, long? claimed)
    {
        var content = TestContent.Bytes(length);
        var digest = Digest.OfSha256(content);
        var node = Add(await BlobNode.StartAsync(Resolver));
        if (told is not null)
        {
            var manifest = node.Keep(TestContent.ImageManifest(Digest.OfSha256([1]), [(digest, told.Value)]));
            using var read = await node.GetAsync($"/v2/app/manifests/{manifest}?ns=docker.io");
        }

        var peer = Add(new ScriptedPeer(async call =>
        {
            await call.SendRawAsync($"HTTP/1.1 200 OK\r\nContent-Length: {claimed ?? length}\r\n\r\n");
            await (call.IsHead ? Task.CompletedTask : call.SendMoreAsync(content));
        }));
        Resolver.Holds(digest, peer.AsHolder());

        using var response = await node.GetAsync($"/v2/app/blobs/{digest}");
        using var head = await node.SendAsync(HttpMethod.Head, $"/v2/app/blobs/{digest}");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, head.StatusCode);
        Assert.Equal(0, await node.MetricAsync("spegel_dapr_blob_corrupt_total", "where=\"peer\""));
    }

    /// <summary>What a node says of the content's holders, when it has forgotten that there were none.</summary>
    private static async Task<IReadOnlyList<ExplainedCandidate>> CandidatesAsync(BlobNode node, Digest digest)
    {
        for (var deadline = DateTime.UtcNow.AddSeconds(30); DateTime.UtcNow < deadline; await Task.Delay(20))
        {
            var explanation = await node.Http.GetFromJsonAsync(new Uri($"{Explanation.Path}?key={digest}", UriKind.Relative), ContractsJson.Default.Explanation);
            if (explanation!.Candidates is { Count: > 0 } candidates)
            {
                return candidates;
            }
        }

        throw new TimeoutException("The holders do not become known.");
    }

    private static Task<HttpResponseMessage> FollowAsync(BlobNode node, Digest digest) =>
        node.GetAsync($"/v2/app/blobs/{digest}", (SpegelHeaders.Peer, "eu/a/node-x"), (SpegelHeaders.Follow, "1"));

    /// <summary>Pulls as a containerd does that gets from upstream nothing at all; returns what is then in its file.</summary>
    private async Task<byte[]> PullAsync(BlobNode node)
    {
        var download = new Download(node, _content);
        using var response = await node.GetAsync($"/v2/app/blobs/{download.Digest}");
        response.EnsureSuccessStatusCode();
        await using (var data = new FileStream(download.DataPath, FileMode.Append, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0))
        {
            await response.Content.CopyToAsync(data);
        }

        download.Commit();
        return await File.ReadAllBytesAsync(node.PathOf(download.Digest));
    }
}
