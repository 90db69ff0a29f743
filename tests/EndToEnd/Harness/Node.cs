using System.Globalization;
using System.Net.Http.Json;
using SpegelDapr.Contracts;
using SpegelDapr.LocalDapr;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A node: containerd, and discovery and blob behind a sidecar, each a process of its own.</summary>
internal sealed class Node : IAsyncDisposable
{
    private static readonly NodeName Asker = NodeName.Parse("test");

    private readonly HttpClient _http;
    private readonly Uri _telemetry;

    public Node(string name, Location location, Machine machine, Cluster cluster)
    {
        var directory = cluster.Directory.Sub(name);
        var daprHttp = machine.NextPort();
        var daprGrpc = machine.NextPort();
        var discoveryTelemetry = machine.NextPort();
        var blobTelemetry = machine.NextPort();
        Machine = machine;
        _http = machine.CreateClient();
        _http.Timeout = TimeSpan.FromSeconds(10);
        Identity = new NodeIdentity(NodeName.Parse(name), location, BlobAddress.Parse($"http://{machine.Address}:{machine.NextPort()}"));
        SidecarHttp = new Uri($"http://127.0.0.1:{daprHttp}/");
        _telemetry = new Uri($"http://127.0.0.1:{blobTelemetry}/");
        Containerd = new Containerd(directory, cluster.Registry.Address, Identity.Address.Uri, machine);
        var node = new Dictionary<string, string>(cluster.Settings)
        {
            ["Node__Name"] = name,
            ["Node__Region"] = location.Region,
            ["Node__Zone"] = location.Zone,
            ["Node__Address"] = Identity.Address.ToString(),
            ["DAPR_HTTP_PORT"] = Text(daprHttp),
            ["DAPR_GRPC_PORT"] = Text(daprGrpc),
        };
        Sidecar = cluster.Sidecar($"{name}-sidecar", DaprNames.Discovery(location.Zone), machine, appPort: null, daprHttp, daprGrpc);
        Discovery = ServiceProcess.Of("discovery", directory, "SpegelDapr.Discovery", [], new Dictionary<string, string>(node)
        {
            ["Telemetry__Url"] = $"http://127.0.0.1:{discoveryTelemetry}",
            ["Discovery__Source"] = "containerd",
            ["Discovery__HeartbeatInterval"] = Cluster.HeartbeatInterval.ToString(),
            ["Containerd__Socket"] = Containerd.Socket,
            ["Containerd__ContentPath"] = Containerd.ContentPath,
        },
        machine);
        Blob = ServiceProcess.Of("blob", directory, "SpegelDapr.Blob", [], new Dictionary<string, string>(node)
        {
            ["Blob__Url"] = Identity.Address.ToString(),
            ["Blob__ContentPath"] = Containerd.ContentPath,
            ["Telemetry__Url"] = $"http://127.0.0.1:{blobTelemetry}",
        },
        machine);
    }

    public NodeIdentity Identity { get; }

    public Machine Machine { get; }

    /// <summary>The sidecar's HTTP API, on the node's loopback.</summary>
    public Uri SidecarHttp { get; }

    public Containerd Containerd { get; }

    public ServiceProcess Sidecar { get; }

    public ServiceProcess Discovery { get; }

    public ServiceProcess Blob { get; }

    /// <summary>Starts its programs, also again after they have ended.</summary>
    public async Task StartAsync()
    {
        Sidecar.Start();
        Discovery.Start();
        Blob.Start();
        await Containerd.StartAsync();
        await AnswersAsync();
    }

    /// <summary>SIGKILL to its services. Its containerd goes on, without anybody to tell what it holds.</summary>
    public Task KillAsync() => Task.WhenAll(Blob.KillAsync(), Discovery.KillAsync(), Sidecar.KillAsync());

    /// <summary>Starts its services again.</summary>
    public async Task RestartAsync()
    {
        await Task.WhenAll(Sidecar.RestartAsync(), Discovery.RestartAsync(), Blob.RestartAsync());
        await AnswersAsync();
    }

    /// <summary>Waits until its mirror answers.</summary>
    public async Task AnswersAsync()
    {
        await Eventually.HoldsAsync($"the mirror of {Identity.Name} answers", async () =>
        {
            using var response = await _http.GetAsync(new Uri(Identity.Address.Uri, "v2/"));
            return response.IsSuccessStatusCode;
        });
    }

    /// <summary>
    /// Waits until the resolver knows this node, and has answered its blob within its budget: the very first question, in a cold process, may miss it.
    /// </summary>
    public async Task CanResolveAsync()
    {
        await Eventually.HoldsAsync($"the resolver knows {Identity.Name}", IsKnownAsync);
        await ReachesResolverAsync();
    }

    private async Task<bool> IsKnownAsync()
    {
        using var response = await _http.GetAsync(Invocation(NodeAnswer.Method(new PeerClaim(Identity.Location, Identity.Name))));
        return response.IsSuccessStatusCode && await response.Content.ReadFromJsonAsync(ContractsJson.Default.NodeAnswer) is { Node: not null };
    }

    private Uri Invocation(string method) => new(SidecarHttp, $"v1.0/invoke/{DaprNames.Resolver(Identity.Location.Zone)}/method/{method}");

    private Task ReachesResolverAsync() => Eventually.HoldsAsync($"the blob of {Identity.Name} reaches the resolver", async () =>
    {
        using var response = await _http.GetAsync(new Uri(Identity.Address.Uri, $"v2/team/none/blobs/{Digest.OfSha256(Guid.NewGuid().ToByteArray())}"));
        return await MetricAsync("spegel_dapr_blob_resolve_duration_seconds_count", "outcome=\"answered\"") > 0;
    });

    /// <summary>What the zone's resolver answers to this node's sidecar; null when it gives no answer.</summary>
    public async Task<ResolveAnswer?> ResolveAsync(params ContentKey[] keys)
    {
        using var response = await _http.PostAsJsonAsync(
            Invocation(ResolveRequest.Method),
            new ResolveRequest(Asker, Identity.Location, keys),
            ContractsJson.Default.ResolveRequest);
        return response.IsSuccessStatusCode ? await response.Content.ReadFromJsonAsync(ContractsJson.Default.ResolveAnswer) : null;
    }

    /// <summary>Who is in flight with a layer in this node's zone, by the word of its resolver.</summary>
    public async Task<IReadOnlyList<InFlightNode>> InFlightAsync(Digest layer)
    {
        using var response = await _http.GetAsync(Invocation(InFlightAnswer.Method(Identity.Location, layer)));
        response.EnsureSuccessStatusCode();
        return (await response.Content.ReadFromJsonAsync(ContractsJson.Default.InFlightAnswer))!.Nodes;
    }

    /// <summary>Waits until the resolver of <paramref name="asker"/>, by default of this node, offers all <paramref name="keys"/> from this node.</summary>
    public Task IsOfferedAsync(IEnumerable<ContentKey> keys, TimeSpan? deadline = null, Node? asker = null) =>
        Eventually.HoldsAsync(
            $"what {Identity.Name} holds is offered to {(asker ?? this).Identity.Name}",
            async () => await (asker ?? this).ResolveAsync([.. keys]) is { } answer
                && answer.Keys.All(key => key.Holders.Any(holder => holder.Node.Name == Identity.Name)),
            deadline);

    /// <summary>Waits until the resolver offers none of <paramref name="keys"/> from this node. Another node's sidecar asks: this one may be gone.</summary>
    public Task IsNotOfferedAsync(IEnumerable<ContentKey> keys, Node asker, TimeSpan? deadline = null) =>
        Eventually.HoldsAsync(
            $"the resolver no longer offers what {Identity.Name} held",
            async () => await asker.ResolveAsync([.. keys]) is { } answer && answer.Keys.All(key => key.Holders.All(holder => holder.Node.Name != Identity.Name)),
            deadline);

    /// <summary>Bytes this node's blob has served, by the tier they came from.</summary>
    public Task<double> ServedAsync(Tier tier) => MetricAsync("spegel_dapr_blob_served_bytes_total", $"tier=\"{tier.Name()}\"");

    /// <summary>Waits until its blob has counted these bytes from a tier: it counts when it has sent, and its containerd may be done before.</summary>
    public Task HasServedAsync(Tier tier, double bytes) =>
        Eventually.HoldsAsync($"node {Identity.Name} has served {bytes} bytes from {tier}", async () => await ServedAsync(tier) >= bytes);

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
}
