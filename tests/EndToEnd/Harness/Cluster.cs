using System.Globalization;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>
/// Zones with docker-registry and the servers of a backend set, all real programs of their own. Each sidecar is a process: LocalDapr, or the daprd that
/// DAPRD_PATH names.
/// </summary>
internal sealed class Cluster : IAsyncDisposable
{
    /// <summary>How long a node that has fallen silent counts as alive here.</summary>
    public static readonly TimeSpan LeaseDuration = TimeSpan.FromSeconds(6);

    /// <summary>How often a node gives a sign of life here.</summary>
    public static readonly TimeSpan HeartbeatInterval = TimeSpan.FromSeconds(2);

    private readonly string _resources;

    private Cluster(ClusterPlan plan)
    {
        Directory = new TestDirectory(plan.Name);
        Settings = plan.Settings;
        Registry = new Registry(Directory, plan.Registry);
        Backend = new Backend(Directory, plan.Backend);
        Images = new TestImages(Directory, Registry);
        _resources = Backend.WriteResources(plan.ScopedZones);
        Zones = [.. plan.Zones.Select(zone => new Zone(zone, this))];
    }

    public TestDirectory Directory { get; }

    public IReadOnlyDictionary<string, string> Settings { get; }

    public Registry Registry { get; }

    public Backend Backend { get; }

    public TestImages Images { get; }

    public IReadOnlyList<Zone> Zones { get; }

    /// <summary>The nodes of all zones.</summary>
    public IReadOnlyList<Node> Nodes => [.. Zones.SelectMany(zone => zone.Nodes)];

    /// <summary>Starts one zone on this machine.</summary>
    public static Task<Cluster> StartAsync(int nodes) => StartAsync(ClusterPlan.OneZone(nodes));

    /// <summary>Starts what is planned; when this returns, all nodes can resolve.</summary>
    public static async Task<Cluster> StartAsync(ClusterPlan plan)
    {
        var cluster = new Cluster(plan);
        try
        {
            await Task.WhenAll(cluster.Registry.StartAsync(), cluster.Backend.StartAsync());
            await Task.WhenAll(cluster.Zones.Select(zone => zone.StartAsync()));
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>A sidecar as a process of its own.</summary>
    public ServiceProcess Sidecar(string name, string appId, Machine machine, int? appPort, int httpPort, int grpcPort, string appAddress = "127.0.0.1")
    {
        IReadOnlyList<string> flags =
        [
            "--app-id", appId,
            .. appPort is { } port ? ["--app-port", port.ToString(CultureInfo.InvariantCulture), "--app-channel-address", appAddress] : Array.Empty<string>(),
            "--dapr-http-port", httpPort.ToString(CultureInfo.InvariantCulture),
            "--dapr-grpc-port", grpcPort.ToString(CultureInfo.InvariantCulture),
            "--resources-path", _resources,
        ];
        return Daprd.Path is { } daprd
            ? Daprd.Sidecar(daprd, name, Directory, flags, machine)
            : ServiceProcess.Of(name, Directory.Path, "SpegelDapr.LocalDapr", [.. flags, "--resolution-dir", Directory.Sub("names")], new Dictionary<string, string>(), machine);
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await Task.WhenAll(((IEnumerable<IAsyncDisposable>)[.. Zones, Backend, Registry]).Select(part => part.DisposeAsync().AsTask()));
        }
        finally
        {
            Directory.Dispose();
        }
    }
}
