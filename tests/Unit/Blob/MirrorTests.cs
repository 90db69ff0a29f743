using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

public sealed class MirrorTests : IAsyncLifetime
{
    private static readonly byte[] Content = TestContent.Bytes(300_000);

    private BlobNode _node = null!;
    private Digest _digest;

    public async Task InitializeAsync()
    {
        _node = await BlobNode.StartAsync(settings: [("Blob:ResolveBudget", "00:00:00.050"), ("Registries:Mirrored:0", "docker.io"), ("Registries:Filters:0", "/secret/")]);
        _digest = _node.Keep(Content);
        await File.WriteAllTextAsync(Path.Combine(_node.Directory, "outside"), "outside");
        await File.WriteAllTextAsync(Path.Combine(_node.ContentPath, "index.json"), "outside");
    }

    public async Task DisposeAsync() => await _node.DisposeAsync();

    [Theory]
    [InlineData("/v2")]
    [InlineData("/v2/")]
    [InlineData("/v2/?ns=docker.io")]
    public async Task The_base_says_that_the_api_is_there(string path)
    {
        Assert.Equal("{}", await _node.Http.GetStringAsync(new Uri(path, UriKind.Relative)));
        using var head = await _node.SendAsync(HttpMethod.Head, path);
        Assert.Equal(HttpStatusCode.OK, head.StatusCode);
    }

    [Fact]
    public async Task A_local_blob_is_served_with_what_containerd_needs()
    {
        using var get = await _node.GetAsync($"/v2/library/app/blobs/{_digest}?ns=docker.io");
        using var head = await _node.SendAsync(HttpMethod.Head, $"/v2/library/app/blobs/{_digest}");

        Assert.Equal(Content, await get.Content.ReadAsByteArrayAsync());
        foreach (var response in (HttpResponseMessage[])[get, head])
        {
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            Assert.Equal(Content.Length, response.Content.Headers.ContentLength);
            Assert.Equal("application/octet-stream", response.Content.Headers.ContentType!.ToString());
            Assert.Equal(_digest.ToString(), response.Headers.GetValues("Docker-Content-Digest").Single());
            Assert.Equal($"\"{_digest}\"", response.Headers.ETag!.Tag);
            Assert.Equal("bytes", response.Headers.AcceptRanges.Single());
            Assert.Equal("local", response.Headers.GetValues(SpegelHeaders.Tier).Single());
            Assert.Equal("node-a", response.Headers.GetValues(SpegelHeaders.Holder).Single());
        }
    }

    [Fact]
    public async Task Sha512_content_is_served()
    {
        var digest = Digest.FromHash(System.Security.Cryptography.HashAlgorithmName.SHA512, System.Security.Cryptography.SHA512.HashData(Content));
        await File.WriteAllBytesAsync(_node.PathOf(digest), Content);

        Assert.Equal(Content, await _node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{digest}", UriKind.Relative)));
    }

    [Theory]
    [InlineData("bytes=0-0", 0, 0)]
    [InlineData("bytes=0-", 0, 299_999)]
    [InlineData("bytes=299999-", 299_999, 299_999)]
    [InlineData("bytes=100-199", 100, 199)]
    [InlineData("bytes=100-9999999999", 100, 299_999)]
    [InlineData("bytes=-5", 299_995, 299_999)]
    [InlineData("bytes=-9999999999", 0, 299_999)]
    public async Task A_single_range_is_served(string range, int first, int last)
    {
        using var response = await _node.GetAsync($"/v2/app/blobs/{_digest}", ("Range", range));

        Assert.Equal(HttpStatusCode.PartialContent, response.StatusCode);
        Assert.Equal(new ContentRangeHeaderValue(first, last, Content.Length), response.Content.Headers.ContentRange);
        Assert.Equal(range == "bytes=299999-" ? null : last - first + 1, response.Content.Headers.ContentLength);
        Assert.Equal(Content[first..(last + 1)], await response.Content.ReadAsByteArrayAsync());
    }

    [Theory]
    [InlineData("bytes=300000-")]
    [InlineData("bytes=300000-300001")]
    [InlineData("bytes=-0")]
    public async Task A_range_outside_is_416(string range)
    {
        using var response = await _node.GetAsync($"/v2/app/blobs/{_digest}", ("Range", range));

        Assert.Equal(HttpStatusCode.RequestedRangeNotSatisfiable, response.StatusCode);
        Assert.Equal("bytes */300000", response.Content.Headers.ContentRange!.ToString());
        await AssertErrorAsync(response, "SIZE_INVALID");
    }

    [Theory]
    [InlineData("Range", "bytes=0-1,5-6")]
    [InlineData("Range", "bytes=5-1")]
    [InlineData("Range", "bytes=a-b")]
    [InlineData("Range", "lines=0-1")]
    [InlineData("Range", "bytes=99999999999999999999-")]
    public async Task A_range_that_is_none_is_ignored(string name, string value)
    {
        using var response = await _node.GetAsync($"/v2/app/blobs/{_digest}", (name, value));

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(Content, await response.Content.ReadAsByteArrayAsync());
    }

    [Fact]
    public async Task A_client_that_has_the_content_is_told_so()
    {
        using var response = await _node.GetAsync($"/v2/app/blobs/{_digest}", ("If-None-Match", $"\"other\", \"{_digest}\""));
        using var other = await _node.GetAsync($"/v2/app/blobs/{_digest}", ("If-None-Match", "\"other\""));
        using var continued = await _node.GetAsync($"/v2/app/blobs/{_digest}", ("If-Range", "\"other\""), ("Range", "bytes=5-"));

        Assert.Equal(HttpStatusCode.NotModified, response.StatusCode);
        Assert.Equal(HttpStatusCode.OK, other.StatusCode);
        Assert.Equal(HttpStatusCode.OK, continued.StatusCode);
    }

    [Theory]
    [InlineData("""{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"a","digest":"DIGEST","size":1},"layers":[]}""", OciMediaTypes.DockerManifest)]
    [InlineData("""{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[]}""", OciMediaTypes.DockerManifestList)]
    [InlineData("""{"schemaVersion":2,"config":{"mediaType":"a","digest":"DIGEST","size":1},"layers":[]}""", OciMediaTypes.Manifest)]
    [InlineData("""{"schemaVersion":2,"manifests":[]}""", OciMediaTypes.Index)]
    public async Task A_manifest_is_served_with_the_type_that_its_content_has(string json, string mediaType)
    {
        var bytes = Encoding.UTF8.GetBytes(json.Replace("DIGEST", _digest.ToString(), StringComparison.Ordinal));
        var digest = _node.Keep(bytes);

        using var response = await _node.GetAsync($"/v2/app/manifests/{digest}");

        Assert.Equal(mediaType, response.Content.Headers.ContentType!.ToString());
        Assert.Equal(bytes, await response.Content.ReadAsByteArrayAsync());
    }

    [Fact]
    public async Task A_layer_is_no_manifest()
    {
        using var response = await _node.GetAsync($"/v2/app/manifests/{_digest}");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        await AssertErrorAsync(response, "MANIFEST_UNKNOWN");
    }

    [Fact]
    public async Task A_corrupt_file_is_absent_until_it_changes()
    {
        var digest = Digest.OfSha256(TestContent.Bytes(5000));
        await File.WriteAllBytesAsync(_node.PathOf(digest), TestContent.Flipped(TestContent.Bytes(5000), 4999));
        for (var i = 0; i < 2; i++)
        {
            using var corrupt = await _node.GetAsync($"/v2/app/blobs/{digest}");
            Assert.Equal(HttpStatusCode.NotFound, corrupt.StatusCode);
        }

        await File.WriteAllBytesAsync(_node.PathOf(digest), TestContent.Bytes(5000));
        File.SetLastWriteTimeUtc(_node.PathOf(digest), DateTime.UtcNow.AddSeconds(5));

        Assert.Equal(TestContent.Bytes(5000), await _node.Http.GetByteArrayAsync(new Uri($"/v2/app/blobs/{digest}", UriKind.Relative)));
        Assert.Equal(1, await _node.MetricAsync("spegel_dapr_blob_corrupt_total", "where=\"local\""));
    }

    [Theory]
    [InlineData("GET", "/v2/app/blobs/sha256:abc", 400, "DIGEST_INVALID")]
    [InlineData("GET", "/v2/app/blobs/latest", 400, "DIGEST_INVALID")]
    [InlineData("GET", "/v2/app/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", 400, "DIGEST_INVALID")]
    [InlineData("GET", "/v2/app/blobs/sha256:DIGEST%2f..", 400, "DIGEST_INVALID")]
    [InlineData("GET", "/v2/app/manifests/sha256:abc", 400, "DIGEST_INVALID")]
    [InlineData("GET", "/v2/app/manifests/-tag?ns=docker.io", 404, "MANIFEST_UNKNOWN")]
    [InlineData("GET", "/v2/app/manifests/..?ns=docker.io", 404, "MANIFEST_UNKNOWN")]
    [InlineData("GET", "/v2/APP/blobs/DIGEST", 400, "NAME_INVALID")]
    [InlineData("GET", "/v2/../blobs/DIGEST", 400, "NAME_INVALID")]
    [InlineData("GET", "/v2/app/../../blobs/DIGEST", 400, "NAME_INVALID")]
    [InlineData("GET", "/v2/%2e%2e/blobs/DIGEST", 400, "NAME_INVALID")]
    [InlineData("GET", "/v2/app%2fapp/blobs/DIGEST", 400, "NAME_INVALID")]
    [InlineData("GET", "/v2//blobs/DIGEST", 400, "NAME_INVALID")]
    [InlineData("GET", "/v2/app/blobs/DIGEST?ns=", 400, "NAME_INVALID")]
    [InlineData("GET", "/v2/app/blobs/DIGEST?ns=a/b", 400, "NAME_INVALID")]
    [InlineData("GET", "/v2/app/blobs/DIGEST?ns=docker.io&ns=docker.io", 400, "NAME_INVALID")]
    [InlineData("GET", "/v2/app/blobs/DIGEST?ns=quay.io", 404, "NAME_UNKNOWN")]
    [InlineData("GET", "/v2/secret/app/blobs/DIGEST?ns=docker.io", 404, "NAME_UNKNOWN")]
    [InlineData("GET", "/v2/app/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000", 404, "BLOB_UNKNOWN")]
    [InlineData("GET", "/v2/app/manifests/sha256:0000000000000000000000000000000000000000000000000000000000000000", 404, "MANIFEST_UNKNOWN")]
    [InlineData("GET", "/v2/app/manifests/latest", 404, "MANIFEST_UNKNOWN")]
    [InlineData("GET", "/v2/library/app/manifests/latest?ns=docker.io", 404, "MANIFEST_UNKNOWN")]
    [InlineData("GET", "/v2/quay.io/app/blobs/DIGEST", 404, "NAME_UNKNOWN")]
    [InlineData("GET", "/v2/quay.io/app/manifests/latest", 404, "NAME_UNKNOWN")]
    [InlineData("GET", "/v2/quay.io/app/referrers/DIGEST", 404, "NAME_UNKNOWN")]
    [InlineData("GET", "/v2/localhost/app/blobs/DIGEST", 404, "NAME_UNKNOWN")]
    [InlineData("GET", "/v2/localhost:5000/app/blobs/DIGEST", 404, "NAME_UNKNOWN")]
    [InlineData("GET", "/v2/docker.io/secret/app/blobs/DIGEST", 404, "NAME_UNKNOWN")]
    [InlineData("GET", "/v2/docker.io/secret/app/referrers/DIGEST", 404, "NAME_UNKNOWN")]
    [InlineData("GET", "/v2/docker.io/app:1/blobs/DIGEST", 400, "NAME_INVALID")]
    [InlineData("GET", "/v2/-.io/app/blobs/DIGEST", 400, "NAME_INVALID")]
    [InlineData("GET", "/v2/app/referrers/latest", 400, "DIGEST_INVALID")]
    [InlineData("GET", "/v2/app/tags/list", 404, "UNSUPPORTED")]
    [InlineData("GET", "/v2/_catalog", 404, "UNSUPPORTED")]
    [InlineData("GET", "/v1/", 404, "UNSUPPORTED")]
    [InlineData("GET", "/metrics", 404, "UNSUPPORTED")]
    [InlineData("GET", "/", 404, "UNSUPPORTED")]
    [InlineData("GET", "/index.json", 404, "UNSUPPORTED")]
    [InlineData("GET", "/v2/../index.json", 404, "UNSUPPORTED")]
    [InlineData("POST", "/v2/app/blobs/uploads/", 405, "UNSUPPORTED")]
    [InlineData("PUT", "/v2/app/manifests/latest", 405, "UNSUPPORTED")]
    [InlineData("DELETE", "/v2/app/blobs/DIGEST", 405, "UNSUPPORTED")]
    [InlineData("BREW", "/v2/", 405, "UNSUPPORTED")]
    public async Task Bad_input_is_an_oci_error(string method, string target, int status, string code)
    {
        var (actual, headers, body) = await RawHttp.AskAsync(_node.Uri, method, target.Replace("DIGEST", _digest.ToString(), StringComparison.Ordinal));

        Assert.Equal(status, actual);
        Assert.Equal(code, JsonDocument.Parse(body).RootElement.GetProperty("errors")[0].GetProperty("code").GetString());
        Assert.Equal(status == 405, headers.Contains("Allow: GET, HEAD", StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_over_long_name_is_refused()
    {
        var (status, _, body) = await RawHttp.AskAsync(_node.Uri, "GET", $"/v2/{new string('a', 256)}/blobs/{_digest}");

        Assert.Equal(400, status);
        Assert.Contains("NAME_INVALID", body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_request_with_a_body_is_refused()
    {
        var received = Encoding.Latin1.GetString(await RawHttp.ExchangeAsync(
            _node.Uri, $"GET /v2/app/blobs/{_digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"));

        Assert.StartsWith("HTTP/1.1 413 ", received, StringComparison.Ordinal);
    }

    public static TheoryData<string> TraversalForms =>
    [
        "..", "../..", "../../..", "%2e%2e", "%2E%2E%2F%2e%2e", "..%2f..", "%252e%252e%252f", "..%5c..", "..\\..", ".%2e", "%c0%ae%c0%ae", "....//", ";/..", "..;", "%00", "..%00", ".",
    ];

    [Theory]
    [MemberData(nameof(TraversalForms))]
    public async Task Nothing_outside_is_reached_by_traversal_in_any_position(string form)
    {
        string[] targets =
        [
            $"/{form}/index.json",
            $"/{form}/outside",
            $"/v2/{form}/outside",
            $"/v2/{form}/blobs/{_digest}",
            $"/v2/app/{form}/blobs/{_digest}",
            $"/v2/app/blobs/{form}/{_digest}",
            $"/v2/app/blobs/{form}",
            $"/v2/app/blobs/{form}/outside",
            $"/v2/app/blobs/sha256:{form}/../outside",
            $"/v2/app/blobs/sha256:{form}/{form}/outside",
            $"/v2/app/blobs/{_digest}/{form}/{form}/outside",
            $"/v2/app/manifests/{form}/outside?ns=docker.io",
            $"/v2/app/manifests/{form}?ns=docker.io",
            $"/v2/app/blobs/{_digest}?ns={form}",
        ];
        foreach (var target in targets)
        {
            var (status, _, body) = await RawHttp.AskAsync(_node.Uri, "GET", target);

            Assert.True(status is 400 or 404, $"{target}: {status}");
            Assert.NotEqual("outside", body);
        }
    }

    [Fact]
    public async Task Ten_thousand_random_paths_get_no_500_and_nothing_from_outside()
    {
        const int seed = 20240817;
#pragma warning disable CA5394 // Not for security: the same paths each time.
        var random = new Random(seed);
        string[] pieces =
        [
            "v2", "blobs", "manifests", "app", "library", "..", ".", "", "latest", "sha256:", "sha512:", _digest.ToString(), _digest.Hex, "%2e%2e", "%2f", "%", "%zz", "outside",
            "index.json", "?ns=docker.io", "?", "#", "&ns=", "\\", "*", "~", "\u00e9", "%F0%9F%92%A9", new string('a', 300), ":", "@", "\t", "tags/list", "_catalog",
        ];
        await using var connection = new RawHttp.Connection(_node.Uri);
        for (var i = 0; i < 10_000; i++)
        {
            var target = (random.Next(10) < 9 ? "/" : "") + (random.Next(2) == 0 ? "v2/" : "")
                + string.Join(random.Next(5) == 0 ? "" : "/", Enumerable.Range(0, random.Next(1, 7)).Select(_ => random.Next(12) == 0
                    ? ((char)random.Next(33, 256)).ToString()
                    : pieces[random.Next(pieces.Length)]));
            var (status, _, body) = await connection.AskAsync("GET", target);

            // What is no path Kestrel may take for the target of an OPTIONS or a CONNECT, and refuses itself (RFC 9112, section 3.2).
            Assert.True(status is 200 or 400 or 404 || (status == 405 && target[0] != '/'), $"{target}: {status}");
            Assert.NotEqual("outside", body);
            if (status == 200)
            {
                Assert.True(body == "{}" || Digest.OfSha256(Encoding.Latin1.GetBytes(body)) == _digest, target);
            }
        }
#pragma warning restore CA5394
    }

    [Fact]
    public async Task Readiness_is_that_of_the_content_path()
    {
        using var ready = await _node.Http.GetAsync(new Uri(_node.Telemetry, "readyz"));
        Directory.Delete(_node.ContentPath, recursive: true);
        using var unready = await _node.Http.GetAsync(new Uri(_node.Telemetry, "readyz"));

        Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, unready.StatusCode);
        Directory.CreateDirectory(_node.ContentPath);
    }

    private static async Task AssertErrorAsync(HttpResponseMessage response, string code)
    {
        Assert.Equal("application/json", response.Content.Headers.ContentType!.ToString());
        var error = JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement.GetProperty("errors").EnumerateArray().Single();
        Assert.Equal(code, error.GetProperty("code").GetString());
        Assert.NotEqual("", error.GetProperty("message").GetString());
    }
}
