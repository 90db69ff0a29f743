using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

/// <summary>Large content from several holders at once, each of which gives less than this node can take.</summary>
public sealed class SpreadTests : BlobTests
{
    private const int MiB = 1024 * 1024;

    private readonly byte[] _content = TestContent.Bytes((72 * MiB) + 12_345);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task All_holders_give_windows_of_it_which_come_in_order(bool isDownloading)
    {
        var holders = Enumerable.Range(1, 3).Select(_ => Slow((call, _) => call.SendAsync(_content))).ToList();

        var (node, digest) = await NodeAsync(holders);
        if (isDownloading)
        {
            _ = new Download(node, _content);
            Resolver.Following = question => new FollowAnswer(question.Digest, 1, holders[0].AsHolder("holder-1").Node);
        }

        Assert.Equal(_content, await node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{digest}?ns=docker.io", UriKind.Relative)));

        Assert.All(holders, holder => Assert.InRange(holder.Calls, 3, 30));
        Assert.Equal(isDownloading ? 1 : 0, Resolver.FollowQuestions.Count);
        Assert.Equal(0, await node.MetricAsync("spegel_dapr_blob_resumed_total"));
    }

    [Theory]
    [InlineData("refuses")]
    [InlineData("dies")]
    [InlineData("is silent")]
    public async Task A_holder_that_gives_its_window_no_longer_is_done_without(string how)
    {
        var bad = Slow((call, number) => (number, how) switch
        {
            (< 3, _) => call.SendAsync(_content),
            (_, "refuses") => call.SendRawAsync("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
            (_, "dies") => DieAsync(call),
            _ => call.StallAsync(),
        });
        List<ScriptedPeer> holders = [Slow((call, _) => call.SendAsync(_content)), bad, Slow((call, _) => call.SendAsync(_content))];

        var (node, digest) = await NodeAsync(holders);

        Assert.Equal(_content, await node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{digest}?ns=docker.io", UriKind.Relative)));

        // It is asked once more when one holder alone gives the rest.
        Assert.InRange(bad.Calls, 3, 4);

        async Task DieAsync(ScriptedPeer.Call call)
        {
            await call.SendAsync(_content, upTo: 1000);
            call.Cut();
        }
    }

    [Fact]
    public async Task A_holder_that_dies_at_the_beginning_is_continued_by_another()
    {
        var calls = 0;
        var holders = Enumerable.Range(1, 2).Select(_ => Slow(async (call, _) =>
        {
            var isFirst = Interlocked.Increment(ref calls) == 1;
            await call.SendAsync(_content, upTo: isFirst ? MiB : null);
            if (isFirst)
            {
                call.Cut();
            }
        })).ToList();

        var (node, digest) = await NodeAsync(holders);

        Assert.Equal(_content, await node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{digest}?ns=docker.io", UriKind.Relative)));

        Assert.Equal(2, calls);
    }

    /// <summary>A holder that is slow to begin; the script is told which of its requests it answers.</summary>
    private ScriptedPeer Slow(Func<ScriptedPeer.Call, int, Task> script)
    {
        var calls = 0;
        return Add(new ScriptedPeer(async call =>
        {
            var number = Interlocked.Increment(ref calls);
            await Task.Delay(200, call.Stopping);
            await script(call, number);
        }));
    }

    private async Task<(BlobNode Node, Digest Digest)> NodeAsync(List<ScriptedPeer> holders)
    {
        var node = Add(await BlobNode.StartAsync(Resolver, settings: ("Blob:HedgeDelay", "00:00:10")));
        var digest = Digest.OfSha256(_content);
        Resolver.Holds(digest, [.. holders.Select((holder, index) => holder.AsHolder($"holder-{index + 1}"))]);
        var manifest = node.Keep(TestContent.ImageManifest(Digest.OfSha256([1]), [(digest, (long)_content.Length)]));
        using var read = await node.GetAsync($"/v2/app/manifests/{manifest}?ns=docker.io");
        return (node, digest);
    }
}
