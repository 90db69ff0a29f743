using System.Collections.Concurrent;
using System.Net;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

/// <summary>Nodes that take connections and say nothing, which is the worst way to be dead: a frozen machine, or a full disk.</summary>
public sealed class DeadPeersTests : BlobTests
{
    private const int Layers = 40;

    /// <summary>How many layers containerd fetches at once (max_concurrent_downloads of its CRI plugin).</summary>
    private const int AtOnce = 3;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Dead_parents_are_waited_for_by_the_first_layers_of_an_image_and_not_by_all(bool areSame)
    {
        var dead = Enumerable.Range(1, 8).Select(number => Add(new ScriptedPeer(call => call.StallAsync())).AsHolder($"dead-{number}").Node).ToList();
        var node = Add(await BlobNode.StartAsync(Resolver, settings: [("Blob:PeerConnectBudget", "00:00:01"), ("Blob:PeerStartBudget", "00:00:03")]));
        var layers = Enumerable.Range(1, Layers).Select(number => new Download(node, TestContent.Bytes(100, seed: number)).Digest).ToList();
        Resolver.Following = question => new FollowAnswer(
            question.Digest, 1, dead[((areSame ? 0 : layers.IndexOf(question.Digest)) + question.Failed.Count) % dead.Count]);

        var left = new ConcurrentQueue<Digest>(layers);
        await Task.WhenAll(Enumerable.Range(1, AtOnce).Select(async _ =>
        {
            while (left.TryDequeue(out var layer))
            {
                await PullAsync(layer);
            }
        }));

        // No more than three, one after the other, are waited for: together 1,150 ms, and twice 350 ms.
        Assert.InRange(Resolver.FollowQuestions.Count, AtOnce, 3 * AtOnce);
        Assert.All(Resolver.FollowQuestions, question => Assert.InRange(question.Failed.Count, 0, 2));

        async Task PullAsync(Digest layer)
        {
            using var response = await node.GetAsync($"/v2/app/blobs/{layer}?ns=docker.io");
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        }
    }

    [Fact]
    public async Task A_parent_that_dies_in_the_middle_of_one_layer_is_not_asked_for_the_next()
    {
        var content = TestContent.Bytes(3 * 1024 * 1024);
        var dying = Add(new ScriptedPeer(async call =>
        {
            await (call.IsHead ? Task.CompletedTask : call.SendAsync(content, upTo: content.Length / 2));
            await call.StallAsync();
        }));
        var node = Add(await BlobNode.StartAsync(Resolver, settings: [("Blob:StallBudget", "00:00:00.100"), ("Blob:PeerConnectBudget", "00:00:01")]));
        var (first, next) = (new Download(node, content), new Download(node, TestContent.Bytes(100)));
        Resolver.Following = question => question.Failed.Count == 0 ? new FollowAnswer(question.Digest, 1, dying.AsHolder("dying").Node) : new FollowAnswer(question.Digest, 0);

        await Assert.ThrowsAnyAsync<Exception>(() => node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{first.Digest}", UriKind.Relative)));
        using var response = await node.GetAsync($"/v2/app/blobs/{next.Digest}");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Single(dying.Heads, head => head.StartsWith("GET ", StringComparison.Ordinal));
    }
}
