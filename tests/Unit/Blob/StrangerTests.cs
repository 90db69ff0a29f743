using System.Net;
using SpegelDapr.Blob.Http;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

public sealed class StrangerTests : BlobTests
{
    /// <summary>More than waits in the buffers of a connection that nobody reads from.</summary>
    private const int Large = 64 * 1024 * 1024;

    [Fact]
    public async Task Strangers_that_do_not_read_never_keep_the_node_from_its_content()
    {
        var node = await NodeAsync();
        var digest = node.Keep(TestContent.Bytes(Large));
        var answers = new List<HttpResponseMessage>();
        try
        {
            foreach (var stranger in new[] { "203.0.113.1", "203.0.113.2", "203.0.113.3" })
            {
                for (var i = 0; i <= StrangerShares.OfOne; i++)
                {
                    answers.Add(await AskAsync(node, digest, stranger));
                }
            }

            Assert.Equal(StrangerShares.OfAll, answers.Count(answer => answer.StatusCode == HttpStatusCode.OK));
            Assert.Equal(HttpStatusCode.NotFound, answers[StrangerShares.OfOne].StatusCode);
            Assert.Equal(HttpStatusCode.OK, answers[StrangerShares.OfOne + 1].StatusCode);
            for (var i = StrangerShares.OfAll; i < TransferSlots.Most; i++)
            {
                answers.Add(await AskAsync(node, digest, "127.0.0.1"));
                Assert.Equal(HttpStatusCode.OK, answers[^1].StatusCode);
            }
        }
        finally
        {
            answers.ForEach(answer => answer.Dispose());
        }

        for (var deadline = DateTime.UtcNow.AddSeconds(30); ;)
        {
            using var again = await AskAsync(node, digest, "203.0.113.3");
            if (again.StatusCode == HttpStatusCode.OK)
            {
                break;
            }

            Assert.True(DateTime.UtcNow < deadline, "Their parts have not come back.");
            await Task.Delay(50);
        }
    }

    [Theory]
    [InlineData("203.0.113.9")]
    [InlineData("::ffff:203.0.113.9")]
    public async Task A_client_that_is_set_is_no_stranger(string address)
    {
        var node = await NodeAsync(("Blob:Clients:0", "203.0.113.9"));
        var digest = node.Keep(TestContent.Bytes(Large));
        var answers = new List<HttpResponseMessage>();
        for (var i = 0; i <= StrangerShares.OfOne; i++)
        {
            answers.Add(await AskAsync(node, digest, address));
        }

        Assert.All(answers, answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        answers.ForEach(answer => answer.Dispose());
    }

    [Fact]
    public async Task After_a_manifest_the_resolver_is_asked_for_no_more_than_one_question_takes()
    {
        var node = await NodeAsync();
        var layers = Enumerable.Range(0, ResolveRequest.MaxKeys + 10).Select(i => Digest.OfSha256(BitConverter.GetBytes(i))).ToArray();
        var manifest = node.Keep(TestContent.ImageManifest(layers[0], layers));

        await node.Http.GetByteArrayAsync(new Uri($"/v2/app/manifests/{manifest}?ns=docker.io", UriKind.Relative));
        using var last = await node.GetAsync($"/v2/app/blobs/{layers[^1]}?ns=docker.io");

        Assert.Equal([ResolveRequest.MaxKeys, 1], Resolver.Questions.Select(question => question.Keys.Count).OrderDescending());
    }

    private static Task<HttpResponseMessage> AskAsync(BlobNode node, Digest digest, string from) =>
        node.GetAsync($"/v2/app/blobs/{digest}?ns=docker.io", (BlobNode.ComesFrom, from));

    private async Task<BlobNode> NodeAsync(params (string Key, string Value)[] settings) => Add(await BlobNode.StartAsync(Resolver, settings: settings));
}
