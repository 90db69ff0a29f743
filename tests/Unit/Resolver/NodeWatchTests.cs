using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Nodes;
using SpegelDapr.ServiceDefaults;
using SpegelDapr.ServiceDefaults.Kubernetes;
using SpegelDapr.Unit.Kubernetes;

namespace SpegelDapr.Unit.Resolver;

/// <summary>Replicas of a resolver that watch the nodes of a cluster whose API server is a fake.</summary>
public sealed class NodeWatchTests : IAsyncLifetime, IDisposable
{
    private static readonly ContentKey Layer = ContentKey.FromDigest(Digest.OfSha256([1]));

    private readonly FakeApiServer _server = new();
    private readonly FakeTimeProvider _time = new();
    private readonly MemoryHolderStore _store;
    private readonly SimulatedNode _node;
    private readonly List<LayerEvent> _published = [];
    private readonly List<Replica> _replicas = [];

    public NodeWatchTests()
    {
        _store = new MemoryHolderStore(_time);
        _node = new SimulatedNode("node-a", _time, _published.Add);
        _node.Hold(new HeldKey(Layer));
        _server.Put("node-a");
        _server.Put("node-b");
    }

    public Task InitializeAsync() => _server.ListenAsync();

    public async Task DisposeAsync()
    {
        foreach (var replica in _replicas)
        {
            await replica.DisposeAsync();
        }

        await _server.DisposeAsync();
    }

    public void Dispose() => _replicas.ForEach(replica => replica.Resolver.Dispose());

    [Theory]
    [InlineData("False")]
    [InlineData("Unknown")]
    public async Task A_node_that_is_not_ready_loses_its_lease_until_it_is_heard_of_again(string ready)
    {
        var replica = await StartAsync();
        await HearAsync(replica, _node.Start);
        Assert.True(await IsOfferedAsync(replica));

        _server.Put("node-a", ready: ready);
        await replica.LostAsync("node-a NotReady");
        await UntilOfferedAsync(replica, false);

        await HearAsync(replica, _node.Heartbeat);
        Assert.True(await IsOfferedAsync(replica));
    }

    [Fact]
    public async Task A_node_that_is_deleted_loses_its_lease()
    {
        var replica = await StartAsync();
        await HearAsync(replica, _node.Start);

        _server.Delete("node-a");
        await replica.LostAsync("node-a Deleted");

        await UntilOfferedAsync(replica, false);
    }

    [Fact]
    public async Task A_node_that_stays_not_ready_and_alive_is_offered()
    {
        var replica = await StartAsync();
        await HearAsync(replica, _node.Start);
        _server.Put("node-a", ready: "Unknown");
        await replica.LostAsync("node-a NotReady");
        await UntilOfferedAsync(replica, false);
        await HearAsync(replica, _node.Heartbeat);

        _server.Put("node-a", ready: "False");
        _server.Put("node-b", ready: "False");
        await replica.LostAsync("node-a NotReady", "node-b NotReady");
        _server.ExpireWatches();
        await _time.UntilAsync(() => _server.Watches.Count() == 2);

        Assert.Equal(2, replica.Lost.Count);
        Assert.True(await IsOfferedAsync(replica));
    }

    [Fact]
    public async Task Replicas_that_all_end_a_lease_end_it_once()
    {
        var (first, second) = (await StartAsync(), await StartAsync());
        await HearAsync(first, _node.Start);
        Assert.True(await IsOfferedAsync(second));
        var (reads, writes) = (_store.Reads, _store.Writes);

        _server.Put("node-a", ready: "False");
        await _time.UntilAsync(() => _store.Reads >= reads + 4);
        await UntilOfferedAsync(first, false);
        await UntilOfferedAsync(second, false);

        Assert.Equal(writes + 1, _store.Writes);
        await HearAsync(second, _node.Heartbeat);
        Assert.True(await IsOfferedAsync(second));
    }

    [Fact]
    public async Task Nothing_is_written_of_nodes_out_of_reach_and_of_those_never_heard_of()
    {
        _server.Put("node-x", "eu", "a");
        _server.Put("node-y");
        var replica = await StartAsync();
        await HearAsync(replica, _node.Start);
        var elsewhere = new NodeIdentity(NodeName.Parse("node-x"), Location.Parse("eu/a"), BlobAddress.Parse("http://node-x.example:5000"));
        var lease = new Lease(elsewhere, 1, _time.GetUtcNow().AddHours(1));
        await _time.RunAsync(replica.Resolver.Leases.UpdateAsync(elsewhere.Location, elsewhere.Name, _ => lease, CancellationToken.None));
        var stored = _store.Text("node|eu|a|node-x");

        _server.Put("node-x", "eu", "a", "False");
        _server.Put("node-y", ready: "False");
        _server.Put("node-a", ready: "False");
        await UntilOfferedAsync(replica, false);

        Assert.NotNull(stored);
        Assert.Equal((stored, null), (_store.Text("node|eu|a|node-x"), _store.Text("node|default|default|node-y")));
    }

    [Fact]
    public async Task While_the_store_is_down_leases_run_out_by_themselves_and_the_watch_goes_on()
    {
        var replica = await StartAsync();
        await HearAsync(replica, _node.Start);
        _store.IsDown = true;
        _server.Put("node-a", ready: "False");
        await _time.UntilAsync(() => replica.Log.Warnings.Count == 1);
        Assert.Contains("The lease of node node-a", replica.Log.Warnings[0], StringComparison.Ordinal);

        _store.IsDown = false;
        _server.Delete("node-a");

        await UntilOfferedAsync(replica, false);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_watch_from_too_long_ago_starts_anew_with_a_list(bool isGoneAnEvent)
    {
        _server.IsGoneAnEvent = isGoneAnEvent;
        var replica = await StartAsync();
        await _server.StopAsync();
        _server.Delete("node-a");
        _server.Compact();

        await _server.ListenAsync();

        await replica.LostAsync("node-a Deleted");
        Assert.Equal(2, _server.Lists.Count());
    }

    [Fact]
    public async Task A_watch_that_falls_behind_starts_anew_with_a_list()
    {
        var replica = await StartAsync();

        _server.ExpireWatches();
        await _time.UntilAsync(() => _server.Watches.Count() == 2);
        _server.Delete("node-a");

        await replica.LostAsync("node-a Deleted");
        Assert.Equal(2, _server.Lists.Count());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_watch_that_ends_or_is_dropped_is_resumed_where_it_was(bool isDropped)
    {
        var replica = await StartAsync();
        _server.Delete("node-b");
        _server.Bookmark();
        await replica.LostAsync("node-b Deleted");
        var version = _server.Version;
        if (isDropped)
        {
            _server.DropWatches();
        }
        else
        {
            _server.EndWatches();
        }

        await _time.UntilAsync(() => _server.Watches.Count() == 2);
        _server.Delete("node-a");

        await replica.LostAsync("node-b Deleted", "node-a Deleted");
        Assert.EndsWith($"resourceVersion={version}", _server.Watches.Last(), StringComparison.Ordinal);
        Assert.Single(_server.Lists);
    }

    [Fact]
    public async Task What_happens_while_the_API_server_is_away_is_seen_afterwards()
    {
        var replica = await StartAsync();
        await _server.StopAsync();
        _server.Delete("node-a");
        await _time.UntilAsync(() => replica.Log.Warnings.Count >= 1);

        await _server.ListenAsync();

        await replica.LostAsync("node-a Deleted");
        Assert.Single(_server.Lists);
    }

    [Fact]
    public async Task A_watch_that_is_silent_for_too_long_is_given_up_and_resumed()
    {
        var replica = await StartAsync();
        _server.IsSilent = true;
        _time.Advance(TimeSpan.FromMinutes(6));
        await _time.UntilAsync(() => _server.Watches.Count() >= 2);
        _time.Advance(TimeSpan.FromSeconds(11));
        await _time.UntilAsync(() => _server.Watches.Count() >= 3);

        _server.IsSilent = false;
        _server.Delete("node-a");
        _time.Advance(TimeSpan.FromSeconds(11));

        await replica.LostAsync("node-a Deleted");
        Assert.All(replica.Log.Warnings, line => Assert.Contains("does not answer in time", line, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_refusal_is_one_line_with_the_remedy_and_is_waited_out()
    {
        _server.Refusal = HttpStatusCode.Forbidden;
        var replica = Start();
        await _time.UntilAsync(() => _server.Requests.Count >= 3);
        Assert.Contains("allow the service account to list nodes", Assert.Single(replica.Log.Warnings), StringComparison.Ordinal);

        _server.Refusal = null;
        await _time.UntilAsync(() => _server.Watches.Any());
        _server.Delete("node-a");

        await replica.LostAsync("node-a Deleted");
    }

    [Fact]
    public async Task It_tells_in_which_locations_nodes_are()
    {
        var replica = await StartAsync();
        Assert.Equal(["default/default"], replica.Locations);

        _server.Put("node-x", "eu", "a");
        await _time.UntilAsync(() => replica.Locations.Contains("eu/a"));
        _server.Put("node-x", "eu", "a", "False");
        _server.Put("node-y", "eu", "b");
        await _time.UntilAsync(() => replica.Locations.Contains("eu/b"));
        Assert.Equal(["default/default", "eu/a", "eu/b"], replica.Locations);

        _server.Delete("node-x");
        await _time.UntilAsync(() => !replica.Locations.Contains("eu/a"));
        Assert.Equal(4, replica.LocationChanges);
    }

    [Fact]
    public async Task All_pages_of_a_long_list_are_read()
    {
        for (var i = 0; i < 1200; i++)
        {
            _server.Put($"node-{i}", "eu", $"zone-{i}");
        }

        var replica = await StartAsync();

        Assert.Equal(1201, replica.Locations.Count);
        Assert.Equal(3, _server.Lists.Count());
    }

    /// <summary>Starts one more replica, which watches when this returns.</summary>
    private async Task<Replica> StartAsync()
    {
        var watches = _server.Watches.Count();
        var replica = Start();
        await _time.UntilAsync(() => _server.Watches.Count() > watches);
        return replica;
    }

    private Replica Start()
    {
        var replica = new Replica(_store, _time, _server.Kubeconfig);
        _replicas.Add(replica);
        return replica;
    }

    private async Task HearAsync(Replica replica, Action act)
    {
        _published.Clear();
        act();
        foreach (var layerEvent in _published)
        {
            Assert.Equal("SUCCESS", await _time.RunAsync(replica.Resolver.DeliverAsync(layerEvent)));
        }
    }

    private async Task<bool> IsOfferedAsync(Replica replica)
    {
        _time.Advance(new ResolverOptions().CacheDuration);
        return (await _time.RunAsync(replica.Resolver.FindAsync([Layer])))[Layer].Any();
    }

    /// <summary>Waits far shorter than a lease takes to run out.</summary>
    private async Task UntilOfferedAsync(Replica replica, bool isOffered)
    {
        for (var i = 0; i < 10 && await IsOfferedAsync(replica) != isOffered; i++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(20));
        }

        Assert.Equal(isOffered, await IsOfferedAsync(replica));
    }

    /// <summary>A replica, and what its watch has told.</summary>
    private sealed class Replica : IAsyncDisposable
    {
        private readonly ServiceProvider _meters = new ServiceCollection().AddMetrics().BuildServiceProvider();
        private readonly FakeTimeProvider _time;
        private readonly NodeApi _api;
        private readonly NodeWatch _watch;
        private readonly LostNodes _lostNodes;
        private readonly ClusterNodes _nodes = new();
        private int _locationChanges;

        public Replica(MemoryHolderStore store, FakeTimeProvider time, string kubeconfig)
        {
            _time = time;
            Resolver = new ResolverReplica(store, time);
            _nodes.Lost += (node, loss) => Lost.Enqueue($"{node.Name} {loss}");
            _nodes.LocationsChanged += _ => Interlocked.Increment(ref _locationChanges);
            _api = new NodeApi(Options.Create(new KubernetesOptions { Kubeconfig = kubeconfig }), time);
            var metrics = new ResolverMetrics(_meters.GetRequiredService<IMeterFactory>());
            var reach = new Reach(Options.Create(new ResolverOptions()), Options.Create(new ZoneOptions()), NullLogger<Reach>.Instance);
            _lostNodes = new LostNodes(_nodes, Resolver.Leases, reach, metrics, time, Log);
            _watch = new NodeWatch(_api, _nodes, time, Log);
            _lostNodes.StartAsync(CancellationToken.None);
            _watch.StartAsync(CancellationToken.None);
        }

        public ResolverReplica Resolver { get; }

        public CollectingLogger Log { get; } = new();

        public ConcurrentQueue<string> Lost { get; } = new();

        public int LocationChanges => Volatile.Read(ref _locationChanges);

        public IReadOnlyList<string> Locations => [.. _nodes.Locations.Select(location => location.ToString()).Order(StringComparer.Ordinal)];

        /// <summary>Waits until it has lost nodes, and these are all.</summary>
        public async Task LostAsync(params string[] nodes)
        {
            await _time.UntilAsync(() => Lost.Count >= nodes.Length);
            Assert.Equal(nodes, Lost);
        }

        public async ValueTask DisposeAsync()
        {
            await _watch.StopAsync(CancellationToken.None);
            await _lostNodes.StopAsync(CancellationToken.None);
            _watch.Dispose();
            _lostNodes.Dispose();
            _api.Dispose();
            await _meters.DisposeAsync();
        }
    }
}
