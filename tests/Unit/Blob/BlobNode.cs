using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using SpegelDapr.Blob;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

/// <summary>A blob service in this process, over an image layout in a temporary directory.</summary>
internal sealed class BlobNode : IAsyncDisposable
{
    /// <summary>On a request: the address from which it comes, whatever its connection says.</summary>
    public const string ComesFrom = "Test-Comes-From";

    private readonly WebApplication _app;

    private BlobNode(WebApplication app, Uri uri, Uri telemetry, string directory, NodeIdentity identity)
    {
        (_app, Uri, Telemetry, Directory, Identity) = (app, uri, telemetry, directory, identity);
        Http = new HttpClient(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false }) { BaseAddress = uri, Timeout = TimeSpan.FromSeconds(60) };
    }

    public Uri Uri { get; }

    public Uri Telemetry { get; }

    public string Directory { get; }

    public NodeIdentity Identity { get; }

    public HttpClient Http { get; }

    public string ContentPath => Path.Combine(Directory, "content");

    public static async Task<BlobNode> StartAsync(FakeResolver? resolver = null, string name = "node-a", params (string Key, string Value)[] settings)
    {
        var directory = System.IO.Directory.CreateTempSubdirectory("blob-").FullName;
        var content = Path.Combine(directory, "content");
        System.IO.Directory.CreateDirectory(Path.Combine(content, "blobs", "sha256"));
        System.IO.Directory.CreateDirectory(Path.Combine(content, "blobs", "sha512"));

        // Another process may take a free port before it is listened on.
        for (var attempt = 1; ; attempt++)
        {
            var (uri, telemetry) = (Loopback.FreeUri(), Loopback.FreeUri());
            var set = settings.GroupBy(setting => setting.Key).ToDictionary(setting => setting.Key, setting => setting.Last().Value);
            var location = Location.Parse($"{set.GetValueOrDefault("Node:Region", "eu")}/{set.GetValueOrDefault("Node:Zone", "a")}");
            var identity = new NodeIdentity(NodeName.Parse(name), location, BlobAddress.Parse(uri.ToString()));
            var app = BlobService.Create([], builder =>
            {
                var all = new Dictionary<string, string?>
                {
                    ["Node:Name"] = name,
                    ["Node:Region"] = location.Region,
                    ["Node:Zone"] = location.Zone,
                    ["Node:Address"] = identity.Address.ToString(),
                    ["Blob:Url"] = identity.Address.ToString(),
                    ["Blob:ContentPath"] = content,
                    ["Telemetry:Url"] = telemetry.ToString().TrimEnd('/'),
                    ["DAPR_HTTP_ENDPOINT"] = (resolver?.Uri ?? Loopback.FreeUri()).ToString(),
                    ["Logging:LogLevel:Default"] = "None",

                    // Code is compiled while the first calls wait, on a machine that may be busy. A test of a budget sets that one.
                    ["Blob:ResolveBudget"] = "00:00:10",
                    ["Blob:PeerStartBudget"] = "00:00:30",
                    ["Blob:PeerConnectBudget"] = "00:00:10",
                    ["Blob:StallBudget"] = "00:00:30",
                };
                foreach (var (key, value) in set)
                {
                    all[key] = value;
                }

                builder.Configuration.AddInMemoryCollection(all);
                builder.Services.AddSingleton<IStartupFilter, RemoteAddress>();
            });
            try
            {
                await app.StartAsync();
                return new BlobNode(app, uri, telemetry, directory, identity);
            }
            catch (IOException) when (attempt < 5)
            {
                await app.DisposeAsync();
            }
        }
    }

    /// <summary>Keeps content in the node's store.</summary>
    public Digest Keep(byte[] bytes)
    {
        var digest = Digest.OfSha256(bytes);
        File.WriteAllBytes(PathOf(digest), bytes);
        return digest;
    }

    public string PathOf(Digest digest) => Path.Combine(ContentPath, "blobs", digest.Algorithm, digest.Hex);

    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, params (string Name, string Value)[] headers)
    {
        using var message = new HttpRequestMessage(method, new Uri(path, UriKind.Relative));
        foreach (var (name, value) in headers)
        {
            message.Headers.TryAddWithoutValidation(name, value);
        }

        return await Http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead);
    }

    public Task<HttpResponseMessage> GetAsync(string path, params (string Name, string Value)[] headers) => SendAsync(HttpMethod.Get, path, headers);

    /// <summary>The node as a holder for one in <c>eu/a</c>.</summary>
    public Holder AsHolder() => new(Identity, Location.Parse("eu/a").TierTo(Identity.Location));

    /// <summary>The sum of a counter's measurements whose tags are a superset of those given, as /metrics tells it.</summary>
    public async Task<double> MetricAsync(string name, params string[] labels)
    {
        var text = await Http.GetStringAsync(new Uri(Telemetry, "metrics"));
        return text.Split('\n')
            .Where(line => line.StartsWith(name + "{", StringComparison.Ordinal) && labels.All(label => line.Contains(label, StringComparison.Ordinal)))
            .Sum(line => double.Parse(line[(line.LastIndexOf('}') + 1)..].Trim().Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture));
    }

    /// <summary>Ends the service, and with it what it was sending.</summary>
    public async Task StopAsync()
    {
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        await _app.StopAsync(now.Token);
    }

    /// <summary>Ends the service as a pod that is told to.</summary>
    public Task StopInOrderAsync() => _app.StopAsync();

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await _app.DisposeAsync();
        System.IO.Directory.Delete(Directory, recursive: true);
    }

    private sealed class RemoteAddress : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use((context, rest) =>
            {
                if (context.Request.Headers.TryGetValue(ComesFrom, out var address))
                {
                    context.Connection.RemoteIpAddress = IPAddress.Parse(address!);
                }

                return rest(context);
            });
            next(app);
        };
    }
}

internal static class Loopback
{
    /// <summary>An address on which nothing listens now.</summary>
    public static Uri FreeUri()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return new Uri($"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}");
    }
}

internal static class TestContent
{
    /// <summary>Bytes that are the same for the same seed.</summary>
    public static byte[] Bytes(int length, int seed = 1)
    {
        var bytes = new byte[length];
#pragma warning disable CA5394 // Not for security: test content that can be made again.
        new Random(seed).NextBytes(bytes);
#pragma warning restore CA5394
        return bytes;
    }

    public static byte[] Flipped(byte[] bytes, int at)
    {
        var flipped = (byte[])bytes.Clone();
        flipped[at] ^= 0x01;
        return flipped;
    }

    public static byte[] ImageManifest(Digest config, params Digest[] layers) => ImageManifest(config, layers.Select(layer => (layer, 2L)));

    public static byte[] ImageManifest(Digest config, IEnumerable<(Digest Digest, long Bytes)> layers) => System.Text.Encoding.UTF8.GetBytes(
        $$"""
        {"schemaVersion":2,"mediaType":"{{OciMediaTypes.Manifest}}","config":{"mediaType":"{{OciMediaTypes.Config}}","digest":"{{config}}","size":2},
        "layers":[{{string.Join(',', layers.Select(layer => $$"""{"mediaType":"{{OciMediaTypes.LayerGzip}}","digest":"{{layer.Digest}}","size":{{layer.Bytes}}}"""))}}]}
        """);
}
