using System.Globalization;
using SpegelDapr.Contracts;
using SpegelDapr.LocalDapr;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>
/// One zone on this machine: docker-registry, Redis, a resolver and some nodes, all real programs of their own. LocalDapr stands in for
/// daprd, one process for each sidecar.
/// </summary>
internal sealed class Cluster : IAsyncDisposable
{
    /// <summary>How long a node that has fallen silent counts as alive here.</summary>
    public static readonly TimeSpan LeaseDuration = TimeSpan.FromSeconds(6);

    /// <summary>How often a node gives a sign of life here.</summary>
    public static readonly TimeSpan HeartbeatInterval = TimeSpan.FromSeconds(2);

    private readonly string _components;

    private Cluster(int nodes)
    {
        Registry = new Registry(Directory);
        Redis = new Redis(Directory);
        Images = new TestImages(Directory, Registry);
        _components = Redis.WriteComponents();
        var location = Location.Parse("test/zone-a");
        var app = FreePorts.Next();
        var daprHttp = FreePorts.Next();
        var daprGrpc = FreePorts.Next();
        ResolverSidecar = Sidecar("resolver-sidecar", DaprNames.Resolver(location.Zone), app, daprHttp, daprGrpc);
        Resolver = new ServiceProcess("resolver", Directory.Path, "SpegelDapr.Resolver", [], new Dictionary<string, string>
        {
            ["App__Url"] = $"http://127.0.0.1:{app}",
            ["Telemetry__Url"] = $"http://127.0.0.1:{FreePorts.Next()}",
            ["Resolver__Region"] = location.Region,
            ["Resolver__Zone"] = location.Zone,
            ["Kubernetes__Enabled"] = "false",
            ["Resolver__LeaseDuration"] = LeaseDuration.ToString(),
            ["DAPR_HTTP_PORT"] = daprHttp.ToString(CultureInfo.InvariantCulture),
            ["DAPR_GRPC_PORT"] = daprGrpc.ToString(CultureInfo.InvariantCulture),
        });
        Nodes = [.. Enumerable.Range(1, nodes).Select(i => new Node($"node-{i}", location, this))];
    }

    public TestDirectory Directory { get; } = new();

    public Registry Registry { get; }

    public Redis Redis { get; }

    public TestImages Images { get; }

    public ServiceProcess Resolver { get; }

    public ServiceProcess ResolverSidecar { get; }

    public IReadOnlyList<Node> Nodes { get; }

    public static async Task<Cluster> StartAsync(int nodes)
    {
        var cluster = new Cluster(nodes);
        try
        {
            await Task.WhenAll(cluster.Registry.StartAsync(), cluster.Redis.StartAsync());
            cluster.ResolverSidecar.Start();
            cluster.Resolver.Start();
            await Task.WhenAll(cluster.Nodes.Select(node => node.StartAsync()));
            await Task.WhenAll(cluster.Nodes.Select(node => node.CanResolveAsync()));
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>A sidecar as a process of its own.</summary>
    public ServiceProcess Sidecar(string name, string appId, int appPort, int httpPort, int grpcPort) => new(
        name,
        Directory.Path,
        "SpegelDapr.LocalDapr",
        [
            "--app-id", appId,
            "--app-port", appPort.ToString(CultureInfo.InvariantCulture),
            "--dapr-http-port", httpPort.ToString(CultureInfo.InvariantCulture),
            "--dapr-grpc-port", grpcPort.ToString(CultureInfo.InvariantCulture),
            "--resources-path", _components,
            "--resolution-dir", Directory.Sub("names"),
        ],
        new Dictionary<string, string>());

    public async ValueTask DisposeAsync()
    {
        try
        {
            await Task.WhenAll(((IEnumerable<IAsyncDisposable>)[.. Nodes, Resolver, ResolverSidecar, Redis, Registry]).Select(part => part.DisposeAsync().AsTask()));
        }
        finally
        {
            Directory.Dispose();
        }
    }
}
