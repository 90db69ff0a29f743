using System.Net;
using System.Net.Sockets;
using System.Text;
using SpegelDapr.Blob.Http;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

public sealed class LargeManifestTests : BlobTests
{
    private const int Clients = 8;

    private static readonly Digest Config = Digest.OfSha256([1]);

    /// <summary>Nearly as large as a manifest may be, which is more than waits in a connection's buffers.</summary>
    private readonly byte[] _large = TestContent.ImageManifest(Config, Enumerable.Range(0, 27_000).Select(i => Digest.OfSha256(BitConverter.GetBytes(i))).ToArray());

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Clients_that_do_not_read_a_large_manifest_take_a_few_places_and_those_of_the_node_are_its_own(bool isLocal)
    {
        Assert.InRange(_large.Length, 4_000_000, OciManifest.MaxBytes);
        var node = await NodeAsync();
        var (digest, small) = (Digest.OfSha256(_large), node.Keep(TestContent.ImageManifest(Config)));
        if (isLocal)
        {
            node.Keep(_large);
        }
        else
        {
            Resolver.Holds(digest, Add(ScriptedPeer.Good(_large)).AsHolder());
        }

        var clients = await Task.WhenAll(Enumerable.Range(0, Clients).Select(_ => AskAsync(node, digest, "203.0.113.1")));
        try
        {
            Assert.Equal(TransferSlots.ForManifestsOfEach, clients.Count(client => client.Status == 200));
            Assert.Equal(Clients - TransferSlots.ForManifestsOfEach, clients.Count(client => client.Status == 404));
            Assert.Equal(_large, await node.Http.GetByteArrayAsync(new Uri($"/v2/app/manifests/{digest}?ns=docker.io", UriKind.Relative)));
            using var ofStranger = await node.GetAsync($"/v2/app/manifests/{small}?ns=docker.io", (BlobNode.ComesFrom, "203.0.113.2"));
            Assert.Equal(HttpStatusCode.OK, ofStranger.StatusCode);
        }
        finally
        {
            Array.ForEach(clients, client => client.Connection.Dispose());
        }
    }

    [Fact]
    public async Task A_manifest_that_is_larger_than_any_may_be_is_not_read_from_a_peer()
    {
        var node = await NodeAsync();
        var content = TestContent.Bytes(OciManifest.MaxBytes + 1);
        Resolver.Holds(Digest.OfSha256(content), Add(ScriptedPeer.Good(content)).AsHolder());

        using var response = await node.GetAsync($"/v2/app/manifests/{Digest.OfSha256(content)}?ns=docker.io");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
    }

    /// <summary>Asks for a manifest and reads no more than the beginning of the answer.</summary>
    private static async Task<(int Status, TcpClient Connection)> AskAsync(BlobNode node, Digest digest, string from)
    {
        var client = new TcpClient { ReceiveBufferSize = 4096 };
        await client.ConnectAsync(node.Uri.Host, node.Uri.Port);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(
            $"GET /v2/app/manifests/{digest}?ns=docker.io HTTP/1.1\r\nHost: mirror\r\n{BlobNode.ComesFrom}: {from}\r\n\r\n"));
        var status = new byte["HTTP/1.1 200".Length];
        await client.GetStream().ReadExactlyAsync(status);
        return (int.Parse(Encoding.ASCII.GetString(status)[^3..], System.Globalization.CultureInfo.InvariantCulture), client);
    }

    private async Task<BlobNode> NodeAsync() => Add(await BlobNode.StartAsync(Resolver));
}
