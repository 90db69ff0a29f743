using System.Globalization;
using System.Net.Http.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using SpegelDapr.Cli.Images;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery;
using SpegelDapr.LocalDapr;
using SpegelDapr.Resolver;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>
/// The control plane of a zone in this process: two replicas of a resolver, and some nodes whose content is an OCI image layout. Services
/// start and stop in milliseconds and deliveries can be made worse on purpose, which <see cref="Cluster"/>, with programs of their own,
/// cannot do.
/// </summary>
internal sealed class InProcessZone : IAsyncDisposable
{
    /// <summary>How long a node that has fallen silent counts as alive here.</summary>
    private static readonly TimeSpan LeaseDuration = TimeSpan.FromSeconds(4);

    /// <summary>How often a node gives a sign of life here.</summary>
    private static readonly TimeSpan HeartbeatInterval = TimeSpan.FromMilliseconds(500);

    /// <summary>How old an answer may be here.</summary>
    private static readonly TimeSpan CacheDuration = TimeSpan.FromMilliseconds(200);

    public static readonly Location Location = Location.Parse("test/zone-a");
    private static readonly NodeName Asker = NodeName.Parse("asker");

    private readonly TestDirectory _directory = new();
    private readonly LocalDaprHost _dapr;
    private readonly IReadOnlyList<string> _resources;
    private readonly HttpClient _sidecar = new();
    private readonly List<SupervisedSidecar> _sidecars = [];
    private readonly List<InProcessService> _resolvers = [];
    private readonly List<InProcessService> _otherResolvers = [];
    private readonly List<InProcessNode> _nodes = [];
    private readonly string? _reach;
    private readonly bool _hotReload;
    private Location[] _seen = [Location];

    private InProcessZone(IReadOnlyList<string> resources, DeliveryFaults? faults, string? reach, bool hotReload) =>
        (_resources, _dapr, _reach, _hotReload) = (resources, new LocalDaprHost(faults: faults), reach, hotReload);

    public IReadOnlyList<InProcessNode> Nodes => _nodes;

    /// <summary>Starts the resolvers, which hear events when this returns. The nodes' discoveries do not run yet.</summary>
    /// <param name="resources">The directories of the Dapr resources.</param>
    /// <param name="nodes">How many nodes there are.</param>
    /// <param name="faults">Makes deliveries worse; null does not.</param>
    /// <param name="reach">The resolvers' reach; null is their own zone.</param>
    /// <param name="hotReload">Whether sidecars take in changed resources.</param>
    public static async Task<InProcessZone> StartAsync(
        IReadOnlyList<string> resources, int nodes, DeliveryFaults? faults = null, string? reach = null, bool hotReload = true)
    {
        var zone = new InProcessZone(resources, faults, reach, hotReload);
        try
        {
            var asker = await zone._dapr.StartAsync(new AppSpec("asker") { ResourcesPaths = resources });
            zone._sidecar.BaseAddress = new Uri(asker.HttpEndpoint);
            for (var i = 0; i < 2; i++)
            {
                zone._resolvers.Add(await zone.CreateResolverAsync(Location, zone._reach ?? Location.ToString()));
            }

            await zone.StartResolversAsync();
            for (var i = 1; i <= nodes; i++)
            {
                await zone.AddNodeAsync($"node-{i}", Location);
            }

            return zone;
        }
        catch
        {
            await zone.DisposeAsync();
            throw;
        }
    }

    /// <summary>Asks who holds these keys, for somebody who holds nothing. Each question goes to the replica after the last one's.</summary>
    public async Task<IReadOnlyList<ResolvedKey>> ResolveAsync(IEnumerable<ContentKey> keys)
    {
        var answers = new List<ResolvedKey>();
        foreach (var some in keys.Chunk(ResolveRequest.MaxKeys))
        {
            using var response = await _sidecar.PostAsJsonAsync(
                $"v1.0/invoke/{DaprNames.Resolver(Location.Zone)}/method/{ResolveRequest.Method}",
                new ResolveRequest(Asker, Location, some),
                ContractsJson.Default.ResolveRequest);
            response.EnsureSuccessStatusCode();
            answers.AddRange((await response.Content.ReadFromJsonAsync(ContractsJson.Default.ResolveAnswer))!.Keys);
        }

        return answers;
    }

    public Task StartResolversAsync() => Task.WhenAll(_resolvers.Select(resolver => resolver.StartAsync()));

    public Task StopResolversAsync() => Task.WhenAll(_resolvers.Select(resolver => resolver.StopAsync()));

    /// <summary>Starts the resolver of another zone, which reaches that zone alone.</summary>
    public async Task StartOtherResolverAsync(Location location)
    {
        var resolver = await CreateResolverAsync(location, location.ToString());
        _otherResolvers.Add(resolver);
        await resolver.StartAsync();
    }

    /// <summary>Adds a node, here or elsewhere. Its discovery does not run yet.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="location">Where it is.</param>
    /// <param name="haste">How many times as fast its discovery's clock goes.</param>
    public async Task<InProcessNode> AddNodeAsync(string name, Location location, double haste = 1)
    {
        var node = await CreateNodeAsync(name, location, haste);
        _nodes.Add(node);
        return node;
    }

    /// <summary>Tells the resolvers the locations of the cluster's nodes.</summary>
    public void See(params Location[] locations)
    {
        _seen = locations;
        foreach (var resolver in _resolvers)
        {
            resolver.Services.GetRequiredService<Reach>().Seen(locations);
        }
    }

    /// <summary>How often sidecars have been started again.</summary>
    public int SidecarRestarts => _sidecars.Sum(sidecar => sidecar.Restarts);

    /// <summary>Has the resolvers' sidecars lose their brokers for good, until they are started again.</summary>
    public Task LoseResolversBrokersAsync() => Task.WhenAll(ResolverSidecars.Select(sidecar => sidecar.LoseBrokersAsync()));

    private IEnumerable<SupervisedSidecar> ResolverSidecars => _sidecars.Where(sidecar => sidecar.AppId == DaprNames.Resolver(Location.Zone));

    /// <summary>Has the resolvers' sidecars exit, to be started again.</summary>
    public async Task RestartResolverSidecarsAsync()
    {
        foreach (var sidecar in ResolverSidecars)
        {
            await sidecar.RestartAsync();
        }
    }

    /// <summary>Has all sidecars exit, to be started again.</summary>
    public Task RestartSidecarsAsync() => Task.WhenAll(_sidecars.Select(sidecar => sidecar.RestartAsync()));

    /// <summary>Has the store forget what it knows of a node, as when one of its documents is evicted.</summary>
    public Task LoseLeaseAsync(InProcessNode node) => DeleteAsync([LeaseKey(node)]);

    /// <summary>Has the store forget everything.</summary>
    /// <param name="keys">All keys that any node has held.</param>
    public Task EmptyStoreAsync(IEnumerable<ContentKey> keys) =>
        DeleteAsync([.. _nodes.Select(LeaseKey), .. keys.Select(key => $"holders|{Location.Region}|{Location.Zone}|{key.ToString().Replace('/', '|')}")]);

    public async ValueTask DisposeAsync()
    {
        try
        {
            await Task.WhenAll(_nodes.Select(node => node.Discovery).Concat(_resolvers).Concat(_otherResolvers).Select(service => service.StopAsync()));
            await Task.WhenAll(_sidecars.Select(sidecar => sidecar.DisposeAsync().AsTask()));
            await _dapr.DisposeAsync();
        }
        finally
        {
            _sidecar.Dispose();
            _directory.Dispose();
        }
    }

    private static string LeaseKey(InProcessNode node) => $"node|{node.Location.Region}|{node.Location.Zone}|{node.Name}";

    private async Task DeleteAsync(IEnumerable<string> keys)
    {
        using var response = await _sidecar.PostAsJsonAsync(
            $"v1.0/state/{DaprNames.HolderStore}/transaction",
            new { operations = keys.Select(key => new { operation = "delete", request = new { key } }) });
        response.EnsureSuccessStatusCode();
    }

    private Task<InProcessService> CreateResolverAsync(Location location, string reach) => CreateServiceAsync(
        DaprNames.Resolver(location.Zone),
        FreePorts.Next(),
        configure =>
        {
            var resolver = ResolverService.Create([], configure);
            resolver.Services.GetRequiredService<Reach>().Seen(_seen);
            return resolver;
        },
        new()
        {
            ["Resolver:Region"] = location.Region,
            ["Resolver:Zone"] = location.Zone,
            ["Resolver:Reach:0"] = reach,
            ["Resolver:LeaseDuration"] = LeaseDuration.ToString(),
            ["Resolver:CacheDuration"] = CacheDuration.ToString(),
        });

    private async Task<InProcessNode> CreateNodeAsync(string name, Location location, double haste)
    {
        var layout = OciLayout.OpenOrCreate(_directory.Sub(name));
        var discovery = await CreateServiceAsync(
            DaprNames.Discovery(location.Zone),
            appPort: null,
            configure => DiscoveryService.Create([], builder =>
            {
                configure(builder);
                builder.Services.AddSingleton<TimeProvider>(haste > 1 ? new ScaledTime(haste) : TimeProvider.System);
            }),
            new()
            {
                ["Node:Name"] = name,
                ["Node:Region"] = location.Region,
                ["Node:Zone"] = location.Zone,
                ["Node:Address"] = $"http://127.0.0.1:{FreePorts.Next()}",
                ["Discovery:Source"] = "oci-layout",
                ["Discovery:HeartbeatInterval"] = (HeartbeatInterval * haste).ToString(),
                ["OciLayout:Path"] = layout.Path,
            });
        return new InProcessNode(NodeName.Parse(name), location, layout, discovery);
    }

    private string WithoutHotReload()
    {
        var file = _directory.File("configuration.yaml");
        File.WriteAllText(file, "kind: Configuration\nspec: { features: [{ name: HotReload, enabled: false }] }\n");
        return file;
    }

    private async Task<InProcessService> CreateServiceAsync(
        string appId, int? appPort, Func<Action<WebApplicationBuilder>, WebApplication> create, Dictionary<string, string?> settings)
    {
        var sidecar = await SupervisedSidecar.StartAsync(_dapr, new AppSpec(appId) { AppPort = appPort, ResourcesPaths = _resources, ConfigPath = _hotReload ? null : WithoutHotReload() });
        _sidecars.Add(sidecar);
        settings["App:Url"] = appPort is null ? null : $"http://127.0.0.1:{appPort}";
        settings["Telemetry:Url"] = $"http://127.0.0.1:{FreePorts.Next()}";
        settings["DAPR_HTTP_PORT"] = sidecar.HttpPort.ToString(CultureInfo.InvariantCulture);
        settings["DAPR_GRPC_PORT"] = sidecar.GrpcPort.ToString(CultureInfo.InvariantCulture);
        settings["Kubernetes:Enabled"] = "false";
        settings["Logging:LogLevel:Default"] = "None";
        return new InProcessService(sidecar, () => create(builder => builder.Configuration.AddInMemoryCollection(settings)));
    }
}

/// <summary>A node of an <see cref="InProcessZone"/>.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Location">Where it is.</param>
/// <param name="Layout">Its content.</param>
/// <param name="Discovery">Its discovery.</param>
internal sealed record InProcessNode(NodeName Name, Location Location, OciLayout Layout, InProcessService Discovery)
{
    /// <summary>What the node holds at this moment: its files, and the tags whose manifest is among them.</summary>
    public IReadOnlyList<HeldKey> ReadContent()
    {
        var digests = Directory.EnumerateFiles(Path.Combine(Layout.Path, "blobs", "sha256"))
            .Select(file => Digest.Parse($"sha256:{Path.GetFileName(file)}"))
            .ToHashSet();
        var taggedAt = new DateTimeOffset(File.GetLastWriteTimeUtc(Path.Combine(Layout.Path, "index.json")));
        var tags = Layout.Images
            .Where(image => digests.Contains(image.Digest))
            .Select(image => new HeldKey(ContentKey.Parse(image.Annotations![OciDescriptor.RefNameAnnotation]), image.Digest, taggedAt));
        return [.. digests.Select(digest => new HeldKey(digest)), .. tags];
    }
}

/// <summary>A service beside its sidecar, which stays while the service stops and starts again.</summary>
internal sealed class InProcessService(SupervisedSidecar sidecar, Func<WebApplication> create)
{
    private WebApplication? _app;

    public SupervisedSidecar Sidecar => sidecar;

    /// <summary>What the running service is made of.</summary>
    public IServiceProvider Services => _app!.Services;

    public bool IsRunning => _app is not null;

    /// <summary>Starts it; when this returns the sidecar delivers to it.</summary>
    public async Task StartAsync()
    {
        _app = create();
        await _app.StartAsync();
        await sidecar.Subscribed;
    }

    /// <summary>Stops it as SIGTERM does, if it runs.</summary>
    public async Task StopAsync()
    {
        if (_app is { } app)
        {
            _app = null;
            await app.StopAsync();
            await app.DisposeAsync();
        }
    }
}
