using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SpegelDapr.Blob;
using SpegelDapr.Cli.Images;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery;
using SpegelDapr.LocalDapr;
using SpegelDapr.Resolver;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Cli.Demo;

/// <summary>
/// Zones and nodes in this process, with the services as they are in a cluster, LocalDapr in the place of Dapr, and a registry in the place of
/// the internet.
/// </summary>
internal sealed class DemoCluster : IAsyncDisposable
{
    private static readonly string[] Components =
        [.. new[] { "in-memory", "common" }.Select(set => Path.Combine(AppContext.BaseDirectory, "components", set))];

    /// <summary>Settings do not change, and watching files for it takes one of a user's few inotify instances for each service.</summary>
    private static readonly string[] Arguments = ["--hostBuilder:reloadConfigOnChange=false"];

    private readonly DemoPlan _plan;
    private readonly ZoneOptions _zones;
    private readonly DemoNetwork? _network;
    private readonly LocalDaprHost _dapr = new();
    private readonly List<WebApplication> _apps = [];
    private readonly List<DemoNode> _nodes = [];

    private DemoCluster(DemoPlan plan, ZoneOptions zones, DemoNetwork? network) => (_plan, _zones, _network) = (plan, zones, network);

    /// <summary>The nodes, those of a zone side by side.</summary>
    public IReadOnlyList<DemoNode> Nodes => _nodes;

    /// <summary>Starts everything.</summary>
    /// <param name="scratch">Where the nodes keep their content.</param>
    /// <param name="upstream">What the registry serves.</param>
    /// <param name="plan">Which nodes there are.</param>
    /// <param name="zones">What zones mean to the services.</param>
    /// <param name="network">The links of nodes and registry; null for some without limit.</param>
    /// <param name="cancellationToken">Ends the start.</param>
    /// <exception cref="UserErrorException">The machine does not let so many nodes start, or they do not come to know each other.</exception>
    public static async Task<DemoCluster> StartAsync(
        DirectoryInfo scratch, DemoUpstream upstream, DemoPlan plan, ZoneOptions zones, DemoNetwork? network, CancellationToken cancellationToken)
    {
        var cluster = new DemoCluster(plan, zones, network);
        try
        {
            var registry = await cluster.StartRegistryAsync(upstream, cancellationToken);
            foreach (var zone in plan.Zones)
            {
                await cluster.StartResolverAsync(zone, cancellationToken);
                foreach (var node in plan.NodesOf(zone))
                {
                    await cluster.StartNodeAsync(node, zone, scratch, registry, cancellationToken);
                }
            }

            foreach (var node in cluster.Nodes)
            {
                await node.WaitUntilKnownAsync(cancellationToken);
            }

            return cluster;
        }
        catch (IOException e)
        {
            await cluster.DisposeAsync();
            throw new UserErrorException($"Node {cluster.Nodes.Count + 1} of {plan.Zones.Count * plan.NodesPerZone} cannot be started: {e.Message}");
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _nodes.ForEach(node => node.Dispose());
        foreach (var app in _apps)
        {
            await app.DisposeAsync();
        }

        await _dapr.DisposeAsync();
    }

    private async Task<Uri> StartRegistryAsync(DemoUpstream upstream, CancellationToken cancellationToken)
    {
        var url = Loopback(FreePorts.Next());
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = upstream.Layout.Path });
        builder.Logging.ClearProviders();
        builder.Configuration["urls"] = url;
        var registry = builder.Build();
        _network?.LimitRegistry(registry);
        registry.MapRegistry(upstream.Layout, DemoUpstream.Image, upstream.Manifest);
        await StartAsync(registry, cancellationToken);
        return new Uri(url);
    }

    private async Task StartResolverAsync(Location zone, CancellationToken cancellationToken)
    {
        var app = FreePorts.Next();
        var sidecar = await StartSidecarAsync(DaprNames.Resolver(zone.Zone), app, cancellationToken);
        var settings = new Dictionary<string, string?>
        {
            ["App:Url"] = Loopback(app),
            ["Resolver:Region"] = zone.Region,
            ["Resolver:Zone"] = zone.Zone,
        };
        var reach = _plan.Zones.Where(other => _zones.Allows(zone, other)).ToList();
        for (var i = 0; i < reach.Count; i++)
        {
            settings[$"Resolver:Reach:{i}"] = reach[i].ToString();
        }

        await StartAsync(ResolverService.Create(Arguments, Configure(sidecar, settings)), cancellationToken);
    }

    private async Task StartNodeAsync(NodeName name, Location location, DirectoryInfo scratch, Uri registry, CancellationToken cancellationToken)
    {
        var layout = OciLayout.OpenOrCreate(Path.Combine(scratch.FullName, name.ToString()));
        var mirror = Loopback(FreePorts.Next());
        var sidecar = await StartSidecarAsync(DaprNames.Discovery(location.Zone), appPort: null, cancellationToken);
        var node = new Dictionary<string, string?>
        {
            ["Node:Name"] = name.ToString(),
            ["Node:Region"] = location.Region,
            ["Node:Zone"] = location.Zone,
            ["Node:Address"] = mirror,
        };
        var configure = Configure(sidecar, new(node) { ["Blob:Url"] = mirror, ["Blob:ContentPath"] = layout.Path });
        await StartAsync(
            BlobService.Create(Arguments, builder =>
            {
                configure(builder);
                if (_network is not null)
                {
                    builder.Services.AddSingleton(_network.LimitNode(name));
                }
            }),
            cancellationToken);
        await StartAsync(
            DiscoveryService.Create(Arguments, Configure(sidecar, new(node)
            {
                ["Discovery:Source"] = "oci-layout",
                ["OciLayout:Path"] = layout.Path,
            })),
            cancellationToken);
        var identity = new NodeIdentity(name, location, BlobAddress.Parse(mirror));
        _nodes.Add(new DemoNode(identity, layout, new Uri(sidecar.HttpEndpoint), registry));
    }

    private Task<Sidecar> StartSidecarAsync(string appId, int? appPort, CancellationToken cancellationToken) =>
        _dapr.StartAsync(new AppSpec(appId) { AppPort = appPort, ResourcesPaths = Components }, cancellationToken);

    private async Task StartAsync(WebApplication app, CancellationToken cancellationToken)
    {
        _apps.Add(app);
        await app.StartAsync(cancellationToken);
    }

    private Action<WebApplicationBuilder> Configure(Sidecar sidecar, Dictionary<string, string?> settings) => builder =>
    {
        settings["Zones:Mode"] = _zones.Mode;
        settings["Zones:Boundary"] = _zones.Boundary;
        settings["Telemetry:Url"] = Loopback(FreePorts.Next());
        settings["DAPR_HTTP_PORT"] = sidecar.HttpPort.ToString(CultureInfo.InvariantCulture);
        settings["DAPR_GRPC_PORT"] = sidecar.GrpcPort.ToString(CultureInfo.InvariantCulture);
        settings["Logging:Console:LogLevel:Default"] = "None";

        // All is compiled while it is first used, here by a dozen services at once.
        settings["Blob:ResolveBudget"] = "00:00:05";
        settings["Kubernetes:Enabled"] = "false";
        builder.Configuration.AddInMemoryCollection(settings);
    };

    private static string Loopback(int port) => $"http://127.0.0.1:{port}";
}
