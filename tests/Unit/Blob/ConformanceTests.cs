using System.Net;
using System.Text;
using System.Text.Json;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

/// <summary>
/// What the conformance suite of the OCI distribution specification 1.1.1 asks of registries that are pulled from (conformance/01_pull_test.go), and of those that
/// list referrers (03_discovery_test.go): of a mirror whose node has the content, in each of the forms in which a client may name the registry.
/// </summary>
public sealed class ConformanceTests : BlobTests
{
    private const string Missing = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    private const string TypeA = "application/vnd.nhl.peanut.butter.bagel";
    private const string TypeB = "application/vnd.nba.strawberry.jam.croissant";

    /// <summary>The path of a repository, and the query that goes with it.</summary>
    public static TheoryData<string, string> WithoutRegistry => new() { { "/v2/library/app", "" } };

    public static TheoryData<string, string> WithRegistry => new()
    {
        { "/v2/library/app", "?ns=docker.io" },
        { "/v2/docker.io/library/app", "" },
        { "/v2/docker.io/app", "" },
        { "/v2/docker.io/library/app", "?ns=ghcr.io" },
        { "/v2/localhost/app", "" },
        { "/v2/localhost:5000/team/app", "" },
        { "/v2/10.0.0.1:5000/team/manifests/app", "" },
    };

    public static IEnumerable<object[]> All => [.. WithoutRegistry, .. WithRegistry];

    [Theory]
    [MemberData(nameof(All))]
    public async Task Blobs_are_pulled(string path, string query)
    {
        var node = await NodeAsync();
        var content = TestContent.Bytes(1000);
        var digest = node.Keep(content);

        foreach (var method in (HttpMethod[])[HttpMethod.Head, HttpMethod.Get])
        {
            using var missing = await node.SendAsync(method, $"{path}/blobs/{Missing}{query}");
            Assert.Equal(HttpStatusCode.NotFound, missing.StatusCode);

            using var found = await node.SendAsync(method, $"{path}/blobs/{digest}{query}");
            Assert.Equal(HttpStatusCode.OK, found.StatusCode);
            Assert.Equal(digest.ToString(), found.Headers.GetValues("Docker-Content-Digest").Single());
            Assert.Equal(content.Length, found.Content.Headers.ContentLength);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public async Task Manifests_are_pulled_by_digest(string path, string query)
    {
        var node = await NodeAsync();
        var manifest = TestContent.ImageManifest(Digest.OfSha256([1]), Digest.OfSha256([2]));
        var digest = node.Keep(manifest);

        foreach (var method in (HttpMethod[])[HttpMethod.Head, HttpMethod.Get])
        {
            using var missing = await node.SendAsync(method, $"{path}/manifests/.INVALID_MANIFEST_NAME{query}");
            Assert.Equal(HttpStatusCode.NotFound, missing.StatusCode);

            using var found = await node.SendAsync(method, $"{path}/manifests/{digest}{query}", ("Accept", OciMediaTypes.Manifest));
            Assert.Equal(HttpStatusCode.OK, found.StatusCode);
            Assert.Equal(digest.ToString(), found.Headers.GetValues("Docker-Content-Digest").Single());
            Assert.Equal(OciMediaTypes.Manifest, found.Content.Headers.ContentType!.ToString());
            Assert.Equal(manifest.Length, found.Content.Headers.ContentLength);
        }
    }

    [Theory]
    [MemberData(nameof(WithRegistry))]
    public async Task Manifests_are_pulled_by_tag(string path, string query)
    {
        var node = await NodeAsync();
        var digest = node.Keep(TestContent.ImageManifest(Digest.OfSha256([1])));
        foreach (var tag in (string[])["docker.io/library/app:1.0", "ghcr.io/docker.io/library/app:1.0", "localhost/app:1.0", "localhost:5000/team/app:1.0", "10.0.0.1:5000/team/manifests/app:1.0"])
        {
            Resolver.Tags(tag, digest, node.AsHolder());
        }

        foreach (var method in (HttpMethod[])[HttpMethod.Head, HttpMethod.Get])
        {
            using var found = await node.SendAsync(method, $"{path}/manifests/1.0{query}");
            Assert.Equal(HttpStatusCode.OK, found.StatusCode);
            Assert.Equal(digest.ToString(), found.Headers.GetValues("Docker-Content-Digest").Single());
            Assert.Equal(OciMediaTypes.Manifest, found.Content.Headers.ContentType!.ToString());

            using var other = await node.SendAsync(method, $"{path}/manifests/2.0{query}");
            Assert.Equal(HttpStatusCode.NotFound, other.StatusCode);
        }
    }

    [Fact]
    public async Task A_tag_that_a_peer_has_is_pulled_by_a_path_that_names_its_registry()
    {
        var (peer, node) = (await NodeAsync("node-b"), await NodeAsync());
        var manifest = TestContent.ImageManifest(Digest.OfSha256([1]));
        var digest = peer.Keep(manifest);
        Resolver.Tags("docker.io/library/app:1.0", digest, peer.AsHolder());

        Assert.Equal(manifest, await node.Http.GetByteArrayAsync(new Uri("/v2/docker.io/library/app/manifests/1.0", UriKind.Relative)));
    }

    [Theory]
    [MemberData(nameof(WithoutRegistry))]
    public async Task A_tag_without_registry_is_nobodys(string path, string query)
    {
        var node = await NodeAsync();
        Resolver.Tags("docker.io/library/app:1.0", node.Keep(TestContent.ImageManifest(Digest.OfSha256([1]))), node.AsHolder());

        using var response = await node.GetAsync($"{path}/manifests/1.0{query}");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.Empty(Resolver.Questions);
    }

    [Theory]
    [MemberData(nameof(All))]
    public async Task An_error_says_why_in_the_form_of_the_specification(string path, string query)
    {
        var node = await NodeAsync();

        using var response = await node.GetAsync($"{path}/manifests/sha256:totallywrong{query}");

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        var error = JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement.GetProperty("errors").EnumerateArray().First();
        Assert.Equal("DIGEST_INVALID", error.GetProperty("code").GetString());
    }

    [Theory]
    [MemberData(nameof(All))]
    public async Task Referrers_are_listed(string path, string query)
    {
        var node = await NodeAsync();
        var (subject, absent) = (node.Keep(TestContent.ImageManifest(Digest.OfSha256([1]))), Digest.OfSha256([9]));
        Digest[] referrers =
        [
            node.Keep(Artifact(subject, config: TypeA)),
            node.Keep(Artifact(subject, type: TypeA)),
            node.Keep(Artifact(subject, config: TypeB)),
            node.Keep(Artifact(subject, type: TypeB)),
            node.Keep(Index(subject, TypeB)),
        ];
        var toAbsent = node.Keep(Artifact(absent, type: TypeA));

        var none = await ReferrersAsync(node, $"{path}/referrers/{Missing}{query}");
        var some = await ReferrersAsync(node, $"{path}/referrers/{subject}{query}");
        var one = await ReferrersAsync(node, $"{path}/referrers/{absent}{query}");
        var filter = (query.Length == 0 ? "?" : query + "&") + "artifactType=" + Uri.EscapeDataString(TypeA);
        var filtered = await ReferrersAsync(node, $"{path}/referrers/{subject}{filter}");
        var both = await ReferrersAsync(node, $"{path}/referrers/{subject}{filter}&artifactType={Uri.EscapeDataString(TypeB)}");

        Assert.Empty(none.Index.Manifests!);
        Assert.Equal(referrers.Select(digest => digest.ToString()).Order(StringComparer.Ordinal), some.Index.Manifests!.Select(found => found.Digest.ToString()));
        Assert.Equal(toAbsent, Assert.Single(one.Index.Manifests!).Digest);
        Assert.Equal(referrers[..2].ToHashSet(), filtered.Index.Manifests!.Select(found => found.Digest).ToHashSet());
        Assert.Equal(5, both.Index.Manifests!.Count);
        Assert.Null(some.Filters);
        Assert.Equal("artifactType", filtered.Filters);
        Assert.All(some.Index.Manifests!, found =>
        {
            Assert.Equal(new FileInfo(node.PathOf(found.Digest)).Length, found.Size);
            Assert.Equal(found.Digest == referrers[4] ? OciMediaTypes.Index : OciMediaTypes.Manifest, found.MediaType);
            Assert.Equal(Array.IndexOf(referrers, found.Digest) < 2 ? TypeA : TypeB, found.ArtifactType);
            Assert.Equal("test value", Assert.Single(found.Annotations!, annotation => annotation.Key == "org.example.test").Value);
        });
        using var head = await node.SendAsync(HttpMethod.Head, $"{path}/referrers/{subject}{query}");
        Assert.Equal(HttpStatusCode.OK, head.StatusCode);
    }

    [Fact]
    public async Task Referrers_that_come_and_go_are_listed_while_they_are_there()
    {
        var node = await NodeAsync();
        var subject = Digest.OfSha256([1]);
        var first = node.Keep(Artifact(subject, type: TypeA));
        node.Keep(TestContent.Bytes(100));
        node.Keep(Encoding.UTF8.GetBytes("{ no JSON, but with \"subject\" }"));

        Assert.Equal([first], await DigestsAsync());
        var second = node.Keep(Artifact(subject, type: TypeB));
        Assert.Equal(new[] { first, second }.ToHashSet(), await DigestsAsync());
        File.Delete(node.PathOf(first));
        Assert.Equal([second], await DigestsAsync());
        var rotten = node.Keep(Artifact(subject, config: TypeA));
        await File.WriteAllBytesAsync(node.PathOf(rotten), Artifact(subject, config: TypeB));
        Assert.Equal([second], await DigestsAsync());

        async Task<HashSet<Digest>> DigestsAsync() =>
            [.. (await ReferrersAsync(node, $"/v2/app/referrers/{subject}")).Index.Manifests!.Select(found => found.Digest)];
    }

    [Fact]
    public async Task A_referrer_that_was_not_whole_when_somebody_asked_is_listed_once_it_is()
    {
        var node = await NodeAsync();
        var subject = Digest.OfSha256([1]);
        var content = Artifact(subject, type: TypeA);
        var referrer = node.Keep(content);
        await File.WriteAllBytesAsync(node.PathOf(referrer), content[..^10]);
        Assert.Empty((await ReferrersAsync(node, $"/v2/app/referrers/{subject}")).Index.Manifests!);

        await File.WriteAllBytesAsync(node.PathOf(referrer), content);

        Assert.Equal(referrer, Assert.Single((await ReferrersAsync(node, $"/v2/app/referrers/{subject}")).Index.Manifests!).Digest);
    }

    [Fact]
    public async Task Many_referrers_are_listed_page_by_page()
    {
        var node = await NodeAsync();
        var subject = Digest.OfSha256([1]);
        var all = Enumerable.Range(0, 1001).Select(number => node.Keep(Artifact(subject, type: TypeA, value: $"{number}"))).ToHashSet();

        var first = await ReferrersAsync(node, $"/v2/docker.io/app/referrers/{subject}?artifactType={Uri.EscapeDataString(TypeA)}");
        var second = await ReferrersAsync(node, first.Next!);

        Assert.Equal((1000, 1), (first.Index.Manifests!.Count, second.Index.Manifests!.Count));
        Assert.Null(second.Next);
        Assert.Equal(all, first.Index.Manifests.Concat(second.Index.Manifests).Select(found => found.Digest).ToHashSet());
    }

    private static async Task<(OciManifest Index, string? Filters, string? Next)> ReferrersAsync(BlobNode node, string path)
    {
        using var response = await node.GetAsync(path);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(OciMediaTypes.Index, response.Content.Headers.ContentType!.ToString());
        var link = response.Headers.TryGetValues("Link", out var links) ? links.Single() : null;
        return (
            OciManifest.TryParse(await response.Content.ReadAsByteArrayAsync())!,
            response.Headers.TryGetValues("OCI-Filters-Applied", out var filters) ? filters.Single() : null,
            link?[1..link.IndexOf('>', StringComparison.Ordinal)]);
    }

    private static byte[] Artifact(Digest subject, string config = "application/vnd.oci.empty.v1+json", string? type = null, string value = "test value") => Encoding.UTF8.GetBytes(
        $$"""
        {"schemaVersion":2,"mediaType":"{{OciMediaTypes.Manifest}}",{{(type is null ? "" : $"\"artifactType\":\"{type}\",")}}
        "config":{"mediaType":"{{config}}","digest":"{{Digest.OfSha256("{}"u8)}}","size":2},"layers":[],
        "subject":{"mediaType":"{{OciMediaTypes.Manifest}}","digest":"{{subject}}","size":2},"annotations":{"org.example.test":"{{value}}"} }
        """);

    private static byte[] Index(Digest subject, string type) => Encoding.UTF8.GetBytes(
        $$"""
        {"schemaVersion":2,"mediaType":"{{OciMediaTypes.Index}}","artifactType":"{{type}}","manifests":[],
        "subject":{"mediaType":"{{OciMediaTypes.Manifest}}","digest":"{{subject}}","size":2},"annotations":{"org.example.test":"test value"} }
        """);

    private async Task<BlobNode> NodeAsync(string name = "node-a") => Add(await BlobNode.StartAsync(Resolver, name));
}
