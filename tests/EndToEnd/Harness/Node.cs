using System.Globalization;
using System.Net.Http.Json;
using SpegelDapr.Contracts;
using SpegelDapr.LocalDapr;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A node: containerd, and discovery and blob behind a sidecar, each a process of its own.</summary>
internal sealed class Node : IAsyncDisposable
{
    private static readonly NodeName Asker = NodeName.Parse("test");

    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(10) };
    private readonly Uri _sidecarHttp;
    private readonly Uri _telemetry;

    public Node(string name, Location location, Cluster cluster)
    {
        var directory = cluster.Directory.Sub(name);
        var app = FreePorts.Next();
        var daprHttp = FreePorts.Next();
        var daprGrpc = FreePorts.Next();
        var discoveryTelemetry = FreePorts.Next();
        var blobTelemetry = FreePorts.Next();
        Identity = new NodeIdentity(NodeName.Parse(name), location, BlobAddress.Parse($"http://127.0.0.1:{FreePorts.Next()}"));
        _sidecarHttp = new Uri($"http://127.0.0.1:{daprHttp}/");
        _telemetry = new Uri($"http://127.0.0.1:{blobTelemetry}/");
        Containerd = new Containerd(directory, cluster.Registry.Address, Identity.Address.Uri);
        var node = new Dictionary<string, string>
        {
            ["Node__Name"] = name,
            ["Node__Region"] = location.Region,
            ["Node__Zone"] = location.Zone,
            ["Node__Address"] = Identity.Address.ToString(),
            ["DAPR_HTTP_PORT"] = Text(daprHttp),
            ["DAPR_GRPC_PORT"] = Text(daprGrpc),
        };
        Sidecar = cluster.Sidecar($"{name}-sidecar", DaprNames.Discovery(location.Zone), app, daprHttp, daprGrpc);
        Discovery = new ServiceProcess("discovery", directory, "SpegelDapr.Discovery", [], new Dictionary<string, string>(node)
        {
            ["App__Url"] = $"http://127.0.0.1:{app}",
            ["Telemetry__Url"] = $"http://127.0.0.1:{discoveryTelemetry}",
            ["Discovery__Source"] = "containerd",
            ["Discovery__HeartbeatInterval"] = Cluster.HeartbeatInterval.ToString(),
            ["Containerd__Socket"] = Containerd.Socket,
            ["Containerd__ContentPath"] = Containerd.ContentPath,
        });
        Blob = new ServiceProcess("blob", directory, "SpegelDapr.Blob", [], new Dictionary<string, string>(node)
        {
            ["Blob__Url"] = Identity.Address.ToString(),
            ["Blob__ContentPath"] = Containerd.ContentPath,
            ["Telemetry__Url"] = $"http://127.0.0.1:{blobTelemetry}",
        });
    }

    public NodeIdentity Identity { get; }

    public Containerd Containerd { get; }

    public ServiceProcess Sidecar { get; }

    public ServiceProcess Discovery { get; }

    public ServiceProcess Blob { get; }

    public async Task StartAsync()
    {
        Sidecar.Start();
        Discovery.Start();
        Blob.Start();
        await Containerd.StartAsync();
        await Eventually.HoldsAsync($"the mirror of {Identity.Name} answers", async () =>
        {
            using var response = await _http.GetAsync(new Uri(Identity.Address.Uri, "v2/"));
            return response.IsSuccessStatusCode;
        });
    }

    /// <summary>Waits until the resolver has answered this node's blob within its budget: the very first question, in a cold process, may miss it.</summary>
    public Task CanResolveAsync() => Eventually.HoldsAsync($"the blob of {Identity.Name} reaches the resolver", async () =>
    {
        using var response = await _http.GetAsync(new Uri(Identity.Address.Uri, $"v2/team/none/blobs/{Digest.OfSha256(Guid.NewGuid().ToByteArray())}"));
        return await MetricAsync("spegel_dapr_blob_resolve_duration_seconds_count", "outcome=\"answered\"") > 0;
    });

    /// <summary>What the zone's resolver answers to this node's sidecar; null when it gives no answer.</summary>
    public async Task<ResolveAnswer?> ResolveAsync(params ContentKey[] keys)
    {
        using var response = await _http.PostAsJsonAsync(
            new Uri(_sidecarHttp, $"v1.0/invoke/{DaprNames.Resolver(Identity.Location.Zone)}/method/{ResolveRequest.Method}"),
            new ResolveRequest(Asker, Identity.Location, keys),
            ContractsJson.Default.ResolveRequest);
        return response.IsSuccessStatusCode ? await response.Content.ReadFromJsonAsync(ContractsJson.Default.ResolveAnswer) : null;
    }

    /// <summary>Waits until the resolver offers all <paramref name="keys"/> from this node.</summary>
    public Task IsOfferedAsync(IEnumerable<ContentKey> keys, TimeSpan? deadline = null) =>
        Eventually.HoldsAsync($"the resolver offers what {Identity.Name} holds", async () => await OfferedAsync([.. keys]) is { } offered && offered.All(x => x), deadline);

    /// <summary>Waits until the resolver offers none of <paramref name="keys"/> from this node. Another node's sidecar asks: this one may be gone.</summary>
    public Task IsNotOfferedAsync(IEnumerable<ContentKey> keys, Node asker, TimeSpan? deadline = null) =>
        Eventually.HoldsAsync(
            $"the resolver no longer offers what {Identity.Name} held",
            async () => await asker.ResolveAsync([.. keys]) is { } answer && answer.Keys.All(key => key.Holders.All(holder => holder.Node.Name != Identity.Name)),
            deadline);

    /// <summary>Bytes this node's blob has served, by the tier they came from.</summary>
    public Task<double> ServedAsync(Tier tier) => MetricAsync("spegel_dapr_blob_served_bytes_total", $"tier=\"{tier.Name()}\"");

    /// <summary>A metric of this node's blob.</summary>
    public Task<double> MetricAsync(string name, params string[] labels) => Metrics.SumAsync(_http, _telemetry, name, labels);

    public async ValueTask DisposeAsync()
    {
        await Blob.DisposeAsync();
        await Discovery.DisposeAsync();
        await Sidecar.DisposeAsync();
        await Containerd.DisposeAsync();
        _http.Dispose();
    }

    private static string Text(int port) => port.ToString(CultureInfo.InvariantCulture);

    private async Task<IReadOnlyList<bool>?> OfferedAsync(ContentKey[] keys) =>
        (await ResolveAsync(keys))?.Keys.Select(key => key.Holders.Any(holder => holder.Node.Name == Identity.Name)).ToList();
}
