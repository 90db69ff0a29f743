using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using SpegelDapr.Blob;
using SpegelDapr.Cli.Images;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery;
using SpegelDapr.LocalDapr;
using SpegelDapr.Resolver;

namespace SpegelDapr.Cli.Demo;

/// <summary>
/// Two zones of two nodes in this process, with the services as they are in a cluster, LocalDapr in the place of Dapr, and a registry in the
/// place of the internet.
/// </summary>
internal sealed class DemoCluster : IAsyncDisposable
{
    private const string Region = "demo";

    private static readonly string Components = Path.Combine(AppContext.BaseDirectory, "components", "in-memory");

    private readonly LocalDaprHost _dapr = new();
    private readonly List<WebApplication> _apps = [];
    private readonly List<DemoNode> _nodes = [];

    private DemoCluster()
    {
    }

    /// <summary>The nodes, those of a zone side by side.</summary>
    public IReadOnlyList<DemoNode> Nodes => _nodes;

    /// <summary>Starts everything.</summary>
    /// <param name="scratch">Where the nodes keep their content.</param>
    /// <param name="upstream">What the registry serves.</param>
    /// <param name="image">The name of the image in the registry.</param>
    /// <param name="manifest">The image.</param>
    /// <param name="cancellationToken">Ends the start.</param>
    public static async Task<DemoCluster> StartAsync(
        DirectoryInfo scratch, OciLayout upstream, ImageReference image, OciDescriptor manifest, CancellationToken cancellationToken)
    {
        var cluster = new DemoCluster();
        try
        {
            var registry = await cluster.StartRegistryAsync(upstream, image, manifest, cancellationToken);
            foreach (var letter in new[] { "a", "b" })
            {
                var location = Location.Parse($"{Region}/zone-{letter}");
                await cluster.StartResolverAsync(location.Zone, cancellationToken);
                foreach (var number in new[] { 1, 2 })
                {
                    await cluster.StartNodeAsync($"node-{letter}{number}", location, scratch, registry, cancellationToken);
                }
            }

            foreach (var node in cluster.Nodes)
            {
                await node.WaitUntilAnnouncedAsync([], cancellationToken);
            }

            return cluster;
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

    private async Task<Uri> StartRegistryAsync(OciLayout layout, ImageReference image, OciDescriptor manifest, CancellationToken cancellationToken)
    {
        var url = Loopback(FreePort());
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = layout.Path });
        builder.Logging.ClearProviders();
        builder.Configuration["urls"] = url;
        var registry = builder.Build();
        registry.MapRegistry(layout, image, manifest);
        await StartAsync(registry, cancellationToken);
        return new Uri(url);
    }

    private async Task StartResolverAsync(string zone, CancellationToken cancellationToken)
    {
        var app = FreePort();
        var sidecar = await StartSidecarAsync(DaprNames.Resolver(zone), app, cancellationToken);
        await StartAsync(
            ResolverService.Create([], Configure(sidecar, new()
            {
                ["App:Url"] = Loopback(app),
                ["Resolver:Region"] = Region,
                ["Resolver:Zone"] = zone,
            })),
            cancellationToken);
    }

    private async Task StartNodeAsync(string name, Location location, DirectoryInfo scratch, Uri registry, CancellationToken cancellationToken)
    {
        var layout = OciLayout.OpenOrCreate(Path.Combine(scratch.FullName, name));
        var (app, mirror) = (FreePort(), Loopback(FreePort()));
        var sidecar = await StartSidecarAsync(DaprNames.Discovery(location.Zone), app, cancellationToken);
        var node = new Dictionary<string, string?>
        {
            ["Node:Name"] = name,
            ["Node:Region"] = location.Region,
            ["Node:Zone"] = location.Zone,
            ["Node:Address"] = mirror,
        };
        await StartAsync(BlobService.Create([], Configure(sidecar, new(node) { ["Blob:Url"] = mirror, ["Blob:ContentPath"] = layout.Path })), cancellationToken);
        await StartAsync(
            DiscoveryService.Create([], Configure(sidecar, new(node)
            {
                ["App:Url"] = Loopback(app),
                ["Discovery:Source"] = "oci-layout",
                ["OciLayout:Path"] = layout.Path,
            })),
            cancellationToken);
        var identity = new NodeIdentity(NodeName.Parse(name), location, BlobAddress.Parse(mirror));
        _nodes.Add(new DemoNode(identity, layout, new Uri(sidecar.HttpEndpoint), registry));
    }

    private Task<Sidecar> StartSidecarAsync(string appId, int appPort, CancellationToken cancellationToken) =>
        _dapr.StartAsync(new AppSpec(appId) { AppPort = appPort, ResourcesPaths = [Components] }, cancellationToken);

    private async Task StartAsync(WebApplication app, CancellationToken cancellationToken)
    {
        _apps.Add(app);
        await app.StartAsync(cancellationToken);
    }

    private static Action<WebApplicationBuilder> Configure(Sidecar sidecar, Dictionary<string, string?> settings) => builder =>
    {
        settings["Telemetry:Url"] = Loopback(FreePort());
        settings["DAPR_HTTP_PORT"] = sidecar.HttpPort.ToString(CultureInfo.InvariantCulture);
        settings["DAPR_GRPC_PORT"] = sidecar.GrpcPort.ToString(CultureInfo.InvariantCulture);
        settings["Kubernetes:Enabled"] = "false";
        settings["Logging:LogLevel:Default"] = "None";
        builder.Configuration.AddInMemoryCollection(settings);
    };

    private static string Loopback(int port) => $"http://127.0.0.1:{port}";

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
