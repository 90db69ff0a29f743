using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob;
using SpegelDapr.Blob.Http;
using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Planning;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Blob.Transfers;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Simulation;

/// <summary>
/// A node that pulls one layer: the classes of its blob service, and in the place of containerd what has come. As containerd does, it asks its mirror and then
/// goes upstream for what the mirror does not give.
/// </summary>
internal sealed class Node : IDisposable
{
    /// <summary>containerd collects as much before it writes, and only what is written can be read by others; the rest they get from the tail.</summary>
    private const long WrittenAtOnce = 1024 * 1024;

    private const string Registry = "registry.example";
    private const string Zone = "default";

    /// <summary>Until the zone knows that a node has it.</summary>
    private static readonly TimeSpan AnnouncementTakes = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan RegistryTakes = TimeSpan.FromMilliseconds(200);

    private readonly Swarm _swarm;
    private readonly NodePlan _plan;
    private readonly NodeLog _log;
    private readonly List<IDisposable> _owned = [];
    private readonly CancellationTokenSource _dies = new();
    private readonly PullPlanner _planner;
    private readonly PeerTransfers _transfers;
    private readonly Routes _routes;
    private readonly List<Body> _receiving = [];
    private long _delivered;
    private long _grown;

    public Node(Swarm swarm, int number, NodePlan plan)
    {
        (_swarm, _plan, _log) = (swarm, plan, new NodeLog(swarm.Time, $"node-{number}", swarm.Log));
        var (time, options, metrics) = (swarm.Time, swarm.BlobOptions, swarm.Metrics);
        var self = Options.Create(new NodeOptions { Name = $"node-{number}", Region = Zone, Zone = Zone, Address = $"http://node-{number}:5000" });
        Identity = self.Value.Identity;
        (In, Out) = (new Link(time, plan.BytesPerSecond), new Link(time, plan.BytesPerSecond));
        Feeds = Own(new Feeds(options, time));
        Fastest = new FastestRate(time);
        Fed = new PeersFed(time);
        _routes = new Routes(time);
        var health = Own(new PeerHealth(options, metrics, time));
        var loads = new PeerLoads();
        var peers = Own(new PeerClient(loads, _routes, options, self, time, new PeerNetwork(swarm, this)));
        var http = new HttpClient(swarm.Resolver, disposeHandler: false) { BaseAddress = new Uri("http://resolver") };
        var resolver = Own(new ResolverClient(http, self, options, metrics, time, _log.CreateLogger<ResolverClient>()));
        var hedged = new HedgedStart(peers, _routes, health, options, metrics, time, _log.CreateLogger<HedgedStart>());
        var ingests = Own(new Ingests(swarm.Local, Feeds, options, metrics, time, swarm.Lifetime, _log.CreateLogger<Ingests>()));
        var following = new Following(resolver, peers, _routes, Fastest, Feeds, ingests, health, options, self, time, _log.CreateLogger<Following>());
        var zones = Options.Create(new ZoneOptions());
        var referrals = new Referrals(resolver, peers, health, options, self, time, _log.CreateLogger<Referrals>());
        _transfers = Own(new PeerTransfers(hedged, following, referrals, ingests, peers, Fastest, health, options, metrics, time, _log));
        _planner = new PullPlanner(loads, health, new UpstreamDecisions(_routes, zones), swarm.Manifests, Fastest, zones, options, self);
        if (plan.IsHolder)
        {
            (StartedAt, FinishedAt, _delivered) = (TimeSpan.Zero, TimeSpan.Zero, swarm.Plan.Bytes);
            swarm.Announce(this);
        }
    }

    public NodeIdentity Identity { get; }

    public NodePlan Plan => _plan;

    public Link In { get; }

    public Link Out { get; }

    public Feeds Feeds { get; }

    public FastestRate Fastest { get; }

    public PeersFed Fed { get; }

    /// <summary>The answers that it is sending.</summary>
    public List<Body> Serving { get; } = [];

    public TimeSpan? StartedAt { get; private set; }

    public TimeSpan? FinishedAt { get; private set; }

    public bool IsComplete => FinishedAt is not null;

    public bool IsDead { get; private set; }

    /// <summary>Whether it is dead and says nothing, as a machine without power; otherwise its process has gone, and connections are refused.</summary>
    public bool IsSilent => IsDead && _plan.DiesSilently;

    /// <summary>How many bytes have come over its link.</summary>
    public long Fetched { get; set; }

    /// <summary>How many of them have come from the registry.</summary>
    public long FromRegistry { get; private set; }

    /// <summary>How often another source than before has begun to send.</summary>
    public int Sources { get; private set; }

    /// <summary>How many bytes others can get of it.</summary>
    public long Available => IsComplete ? _swarm.Plan.Bytes : Math.Max(_delivered / WrittenAtOnce * WrittenAtOnce, Feeds.TailOf(_swarm.Digest)?.End ?? 0);

    /// <summary>Whether those that follow it may wait, though nothing comes.</summary>
    public bool HasPatience => Feeds.PatienceLeft(_swarm.Digest, _grown) > TimeSpan.Zero;

    /// <summary>Pulls the layer at its time, unless it dies.</summary>
    public async Task PullAsync()
    {
        if (_plan.DiesAt is { } end)
        {
            _swarm.Time.After(end, Die);
        }

        if (_plan.IsHolder)
        {
            return;
        }

        await Task.Delay(_plan.StartsAt, _swarm.Time);
        if (IsDead)
        {
            return;
        }

        StartedAt = _swarm.Time.Elapsed;
        _delivered = _swarm.Plan.From;
        try
        {
            if (!await TryMirrorAsync())
            {
                await FetchFromRegistryAsync();
            }

            FinishedAt = _swarm.Time.Elapsed;
            _log.Write($"has it after {FinishedAt - StartedAt}");
            Grew();
            _swarm.Time.After(AnnouncementTakes, () => _swarm.Announce(this));
        }
        catch (OperationCanceledException) when (IsDead)
        {
            // So it does not finish.
        }
    }

    /// <summary>A body from somebody begins to come.</summary>
    public void Begins(Body body)
    {
        Sources++;
        _log.Write($"from {body.Sender?.Identity.Name.ToString() ?? "the registry"}, at byte {_delivered}");
        _receiving.Add(body);
        _swarm.Began(body);
    }

    /// <summary>A body does not come any longer.</summary>
    public void Ends(Body body) => _receiving.Remove(body);

    /// <summary>Who sends to it now; null for the registry, or nobody.</summary>
    public Node? Source => _receiving is [.., var latest] ? latest.Sender : null;

    /// <summary>Has more gone on to those who wait for it.</summary>
    public void Grew()
    {
        _grown = _swarm.Time.GetTimestamp();
        foreach (var body in Serving.ToArray())
        {
            body.Send();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _owned.ForEach(owned => owned.Dispose());
        _dies.Dispose();
    }

    private async Task<bool> TryMirrorAsync()
    {
        var plan = _planner.Plan(
            new PullQuestion(_swarm.Digest, ContentKind.Blob, Registry, MayFollow: true), new PullKnowledge(_swarm.HoldersFor(this), null));
        _planner.CarryOut(plan);
        if (!plan.HasPeers)
        {
            return false;
        }

        using var transfer = _transfers.Open(plan, $"/v2/app/blobs/{_swarm.Digest}", _swarm.Digest, _swarm.Plan.From, null, _dies.Token);
        var buffer = _swarm.Rent();
        try
        {
            while (await transfer.ReadAsync(buffer) is var read and > 0)
            {
                _swarm.Check(_delivered, buffer.AsSpan(0, read));
                _delivered += read;
                Grew();
            }

            return true;
        }
        catch (PeersExhaustedException)
        {
            return false;
        }
    }

    private async Task FetchFromRegistryAsync()
    {
        await Task.Delay(RegistryTakes, _swarm.Time, _dies.Token);
        var (began, first) = (_swarm.Time.Elapsed, _delivered);
        using var body = new Body(_swarm, null, this, first);
        body.Begin();
        var buffer = _swarm.Rent();
        while (_delivered < _swarm.Plan.Bytes)
        {
            var read = await body.ReadAsync(buffer, _dies.Token);
            (_delivered, FromRegistry) = (_delivered + read, FromRegistry + read);
            Grew();
        }

        _routes.ReceivedFromUpstream(Registry, _delivered - first, _swarm.Time.Elapsed - began);
    }

    private void Die()
    {
        if (!IsDead)
        {
            IsDead = true;
            _log.Write(_plan.DiesSilently ? "falls silent" : "dies");
            _swarm.Died(this);
            _dies.Cancel();
            if (!_plan.DiesSilently)
            {
                Serving.ToList().ForEach(body => body.Break("Connection reset by peer"));
            }
        }
    }

    private T Own<T>(T owned)
        where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }
}
