using System.Net.Sockets;
using SpegelDapr.Contracts;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A docker-registry, known to the nodes as <see cref="Host"/>.</summary>
internal sealed class Registry(TestDirectory directory, Machine? on = null) : IAsyncDisposable
{
    /// <summary>The registry's name in image references; a node's hosts.toml says where it is.</summary>
    public const string Host = "registry.test";

    private readonly HttpClient _http = (on ?? Machine.Local).CreateClient();
    private ExternalProcess? _server;

    public Machine Machine { get; } = on ?? Machine.Local;

    public int Port { get; } = (on ?? Machine.Local).NextPort();

    public Uri Address => new($"http://{Machine.Address}:{Port}/");

    /// <summary>Where programs of its own machine reach it that know no IPv6.</summary>
    public string LocalAuthority => Machine.Ip.AddressFamily == AddressFamily.InterNetworkV6 ? $"127.0.0.1:{Port}" : Address.Authority;

    /// <summary>How many GETs of blobs it has answered since it started.</summary>
    public int BlobRequests => RequestLines.Count(line => line.Contains("GET /v2/", StringComparison.Ordinal) && line.Contains("/blobs/", StringComparison.Ordinal));

    /// <summary>How many GETs of a blob, or of a part of it, it has answered since it started.</summary>
    public int BlobRequestsOf(Digest digest) => RequestLines.Count(line => line.Contains("GET /v2/", StringComparison.Ordinal) && line.Contains($"/blobs/{digest}", StringComparison.Ordinal));

    private IEnumerable<string> RequestLines => _server!.Output.Split('\n').Where(line => line.Contains(" HTTP/1.1\" ", StringComparison.Ordinal));

    public async Task StartAsync()
    {
        var config = directory.File("registry.yml");
        await File.WriteAllTextAsync(config, $"""
            version: 0.1
            log:
              level: warn
            storage:
              filesystem:
                rootdirectory: {directory.Sub("registry")}
              delete:
                enabled: true
            http:
              addr: {(Machine.Ip.AddressFamily == AddressFamily.InterNetworkV6 ? "" : Machine.Address)}:{Port}
            """);
        _server = ExternalProcess.Start("registry", directory.Path, "docker-registry", ["serve", config], on: Machine);
        await Eventually.HoldsAsync("the registry answers", async () =>
        {
            using var response = await _http.GetAsync(new Uri(Address, "v2/"));
            return response.IsSuccessStatusCode;
        });
    }

    /// <summary>Deletes the bytes of an image that nobody pulls any more.</summary>
    public void Remove(TestImage image)
    {
        foreach (var digest in image.Digests.Select(key => key.Digest!.Value))
        {
            Directory.Delete(Path.Combine(directory.Sub("registry"), "docker/registry/v2/blobs", digest.Algorithm, digest.Hex[..2], digest.Hex), recursive: true);
        }
    }

    public Task StopAsync() => _server!.KillAsync();

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        if (_server is not null)
        {
            await _server.DisposeAsync();
        }
    }
}
