using System.Globalization;
using SpegelDapr.Contracts;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A zone: a resolver behind its sidecar, and nodes.</summary>
internal sealed class Zone : IAsyncDisposable
{
    public Zone(ZonePlan plan, Cluster cluster)
    {
        Location = plan.Location;
        Machine = plan.Resolver;
        var name = DaprNames.Resolver(Location.Zone);
        var app = Machine.NextPort();
        var telemetry = Machine.NextPort();
        var daprHttp = Machine.NextPort();
        var daprGrpc = Machine.NextPort();

        // LocalDapr's sidecars call apps of other machines at the app itself, not by its sidecar, so this one listens to the network.
        App = new Uri($"http://{Machine.Address}:{app}/");
        Telemetry = new Uri($"http://127.0.0.1:{telemetry}/");
        ResolverSidecar = cluster.Sidecar($"{name}-sidecar", name, Machine, app, daprHttp, daprGrpc, Machine.Address);
        Resolver = ServiceProcess.Of(
            name,
            cluster.Directory.Path,
            "SpegelDapr.Resolver",
            [],
            new Dictionary<string, string>(cluster.Settings)
            {
                ["App__Url"] = $"http://{Machine.Address}:{app}",
                ["Telemetry__Url"] = $"http://127.0.0.1:{telemetry}",
                ["Resolver__Region"] = Location.Region,
                ["Resolver__Zone"] = Location.Zone,
                ["Resolver__LeaseDuration"] = Cluster.LeaseDuration.ToString(),
                ["Kubernetes__Enabled"] = "false",
                ["DAPR_HTTP_PORT"] = daprHttp.ToString(CultureInfo.InvariantCulture),
                ["DAPR_GRPC_PORT"] = daprGrpc.ToString(CultureInfo.InvariantCulture),
            },
            Machine);
        SetReach(plan.Reach);
        Nodes = [.. plan.Nodes.Select(node => new Node(node.Name, Location, node.Machine, cluster))];
    }

    public Location Location { get; }

    /// <summary>Where the resolver runs.</summary>
    public Machine Machine { get; }

    /// <summary>The resolver's listener for its sidecar.</summary>
    public Uri App { get; }

    /// <summary>The resolver's metrics.</summary>
    public Uri Telemetry { get; }

    public ServiceProcess Resolver { get; }

    public ServiceProcess ResolverSidecar { get; }

    public IReadOnlyList<Node> Nodes { get; }

    public async Task StartAsync()
    {
        ResolverSidecar.Start();
        Resolver.Start();
        await Task.WhenAll(Nodes.Select(node => node.StartAsync()));
        await Task.WhenAll(Nodes.Select(node => node.CanResolveAsync()));
    }

    /// <summary>Has the resolver offer the nodes of these locations from its next start on.</summary>
    public void SetReach(IReadOnlyList<Location> reach)
    {
        const string Setting = "Resolver__Reach__";
        foreach (var key in Resolver.Settings.Keys.Where(key => key.StartsWith(Setting, StringComparison.Ordinal)).ToList())
        {
            Resolver.Settings.Remove(key);
        }

        foreach (var (location, i) in reach.Select((location, i) => (location, i)))
        {
            Resolver.Settings[Setting + i.ToString(CultureInfo.InvariantCulture)] = location.ToString();
        }
    }

    public async ValueTask DisposeAsync() =>
        await Task.WhenAll(((IEnumerable<IAsyncDisposable>)[.. Nodes, Resolver, ResolverSidecar]).Select(part => part.DisposeAsync().AsTask()));
}
