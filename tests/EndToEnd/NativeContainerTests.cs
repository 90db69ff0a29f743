using System.Net;
using System.Security.Cryptography;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.LocalDapr;

namespace SpegelDapr.EndToEnd;

/// <summary>The services of a node as in their images and pods: native code, in containers that can do no more than they must.</summary>
public sealed class NativeContainerTests : IAsyncLifetime, IDisposable
{
    private readonly TestDirectory _directory = new("spegel-dapr-native");
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(10) };
    private readonly Registry _registry;
    private readonly Containerd _containerd;
    private readonly Uri _mirror = new($"http://127.0.0.1:{FreePorts.Next()}/");
    private readonly Uri _telemetry = new($"http://127.0.0.1:{FreePorts.Next()}/");

    public NativeContainerTests()
    {
        _registry = new Registry(_directory);
        _containerd = new Containerd(_directory.Sub("containerd"), _registry.Address, _mirror);
    }

    public Task InitializeAsync() => Task.WhenAll(_registry.StartAsync(), _containerd.StartAsync());

    public async Task DisposeAsync()
    {
        await _containerd.DisposeAsync();
        await _registry.DisposeAsync();
    }

    public void Dispose()
    {
        _http.Dispose();
        _directory.Dispose();
    }

    [NativeFact]
    public async Task Blob_serves_what_containerd_has_without_being_root()
    {
        var image = await new TestImages(_directory, _registry).PushAsync([1024 * 1024]);
        await _containerd.PullAsync(image.Reference);
        await using var blob = await NativeContainer.StartAsync(
            "Blob",
            _directory.Sub("blob"),
            new Dictionary<string, bool> { [_containerd.ContentPath] = false },
            Settings(("Blob__Url", _mirror.ToString()), ("Blob__ContentPath", _containerd.ContentPath)));
        await BecomesAsync("blob is ready", HttpStatusCode.OK, "readyz");

        foreach (var layer in image.Blobs)
        {
            var content = await _http.GetByteArrayAsync(new Uri(_mirror, $"v2/team/image-1/blobs/{layer.Digest}?ns={Registry.Host}"));
            Assert.Equal(layer.Digest.ToString(), $"sha256:{Convert.ToHexStringLower(SHA256.HashData(content))}");
        }

        Assert.Contains("spegel_dapr_blob_served_bytes_total", await _http.GetStringAsync(new Uri(_telemetry, "metrics")), StringComparison.Ordinal);
    }

    [NativeFact]
    public async Task Discovery_finds_a_containerd_that_starts_anew_where_it_sees_the_sockets_directory()
    {
        var other = new Uri($"http://127.0.0.1:{FreePorts.Next()}/");
        await using var byDirectory = await StartDiscoveryAsync("by-directory", Path.GetDirectoryName(_containerd.Socket)!, _telemetry);
        await using var bySocket = await StartDiscoveryAsync("by-socket", _containerd.Socket, other);
        await ReadsContainerdAsync(_telemetry, reads: true);
        await ReadsContainerdAsync(other, reads: true);

        await _containerd.StopAsync();
        await ReadsContainerdAsync(_telemetry, reads: false);
        await ReadsContainerdAsync(other, reads: false);
        await _containerd.StartAsync();

        await ReadsContainerdAsync(_telemetry, reads: true);
        // That is why: the file that it has mounted is that of the containerd before.
        await ReadsContainerdAsync(other, reads: false);
    }

    private Task<NativeContainer> StartDiscoveryAsync(string name, string socketMount, Uri telemetry) => NativeContainer.StartAsync(
        "Discovery",
        _directory.Sub(name),
        new Dictionary<string, bool> { [socketMount] = false, [_containerd.ContentPath] = false },
        Settings(
            ("Telemetry__Url", telemetry.ToString()),
            ("Containerd__Socket", _containerd.Socket),
            ("Containerd__ContentPath", _containerd.ContentPath)));

    private Task ReadsContainerdAsync(Uri telemetry, bool reads) => Eventually.HoldsAsync(
        $"discovery {(reads ? "reads" : "does not read")} containerd",
        async () => await Metrics.SumAsync(_http, telemetry, "spegel_dapr_discovery_source_readable") == (reads ? 1 : 0));

    private Dictionary<string, string> Settings(params (string Name, string Value)[] more) =>
        new[]
        {
            ("Node__Name", "node-1"),
            ("Node__Address", _mirror.ToString().TrimEnd('/')),
            ("Telemetry__Url", _telemetry.ToString()),
            ("DAPR_HTTP_PORT", "1"),
            ("DAPR_GRPC_PORT", "1"),
        }.Concat(more).GroupBy(setting => setting.Item1).ToDictionary(setting => setting.Key, setting => setting.Last().Item2);

    private Task BecomesAsync(string what, HttpStatusCode status, string path) => Eventually.HoldsAsync(what, async () =>
    {
        using var response = await _http.GetAsync(new Uri(_telemetry, path));
        return response.StatusCode == status;
    });
}
