using System.Diagnostics.Metrics;
using System.Text.Json;
using Microsoft.Extensions.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver;
using SpegelDapr.Resolver.Events;
using SpegelDapr.Resolver.Holders;
using SpegelDapr.Resolver.InFlight;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;
using SpegelDapr.Resolver.Subscribing;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit.Resolver;

/// <summary>One replica of a resolver without its web server: events and questions go in, requests for snapshots and answers come out.</summary>
internal sealed class ResolverReplica : IDisposable, ISyncTopic, IHostApplicationLifetime
{
    private readonly ServiceProvider _meters = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly CancellationTokenSource _stopping = new();
    private readonly DocumentCache _cache;
    private readonly HolderWriter _writer;
    private readonly HolderBook _holders;
    private readonly EventEndpoint _endpoint;
    private readonly Action<SyncRequest> _onSyncRequest;

    public ResolverReplica(IHolderStore store, FakeTimeProvider time, Action<SyncRequest> onSyncRequest, ResolverOptions? resolverOptions = null)
    {
        _onSyncRequest = onSyncRequest;
        var options = Options.Create(resolverOptions ?? new ResolverOptions());
        var metrics = new ResolverMetrics(_meters.GetRequiredService<IMeterFactory>());
        var backoff = new ConflictBackoff(metrics, time);
        _cache = new DocumentCache(store, options, time, NullLogger<DocumentCache>.Instance);
        Leases = new LeaseBook(store, _cache, backoff, options, time, NullLogger<LeaseBook>.Instance);
        _holders = new HolderBook(_cache, Leases, time);
        _writer = new HolderWriter(store, _cache, Leases, backoff, options, time, NullLogger<HolderWriter>.Instance);
        InFlight = new InFlightBook(store, _cache, Leases, new InFlightLoads(time), backoff, options, time, NullLogger<InFlightBook>.Instance);
        var snapshots = new SnapshotRequests(Leases, this, metrics, time, this, NullLogger<SnapshotRequests>.Instance);
        var reach = new Reach(options, Options.Create(new ZoneOptions()), NullLogger<Reach>.Instance);
        _endpoint = new EventEndpoint(reach, new EventApplier(Leases, _writer, snapshots, options, time), Sidecar, Silence(store, options, reach, time), metrics, time, NullLogger<EventEndpoint>.Instance);
    }

    public static Location Location => Location.Default;

    public LeaseBook Leases { get; }

    public FakeSidecar Sidecar { get; } = new();

    public InFlightBook InFlight { get; }

    public CancellationToken ApplicationStarted => CancellationToken.None;

    public CancellationToken ApplicationStopping => _stopping.Token;

    public CancellationToken ApplicationStopped => CancellationToken.None;

    /// <summary>Delivers an event as Dapr does; the answer is SUCCESS, RETRY or DROP.</summary>
    public Task<string> DeliverAsync(LayerEvent layerEvent) => DeliverAsync(Envelope(layerEvent));

    public Task<string> DeliverAsync(byte[] envelope) => _endpoint.AnswerAsync(envelope, Location, CancellationToken.None);

    public static byte[] Envelope(LayerEvent layerEvent, string? topic = null) => JsonSerializer.SerializeToUtf8Bytes(
        new CloudEvent(layerEvent.Type, topic ?? LayerTopics.Events(Location), JsonDocument.Parse(ContractsJson.Serialize(layerEvent)).RootElement),
        ContractsJson.Default.CloudEvent);

    public Task<ILookup<ContentKey, LiveHolder>> FindAsync(IReadOnlyCollection<ContentKey> keys) => _holders.FindAsync(keys, [Location], CancellationToken.None);

    /// <summary>Writes what an event says, as when other events have been applied since it was compared with its node's lease.</summary>
    public Task WriteAsync(ContentKey key, HolderEntry entry) =>
        _writer.WriteAsync(Location, new Dictionary<ContentKey, HolderEntry> { [key] = entry }, CancellationToken.None);

    public Task PublishAsync(Location location, SyncRequest request, CancellationToken cancellation)
    {
        _onSyncRequest(request);
        return Task.CompletedTask;
    }

    private SilenceWatch Silence(IHolderStore store, IOptions<ResolverOptions> options, Reach reach, TimeProvider time) => new(
        Leases,
        reach,
        Sidecar,
        new RestartTurns(store, options, time, NullLogger<RestartTurns>.Instance),
        new ResolverMetrics(_meters.GetRequiredService<IMeterFactory>()),
        options,
        time,
        NullLogger<SilenceWatch>.Instance);

    public void StopApplication() => _stopping.Cancel();

    public void Dispose()
    {
        _stopping.Cancel();
        _cache.Dispose();
        _stopping.Dispose();
        _meters.Dispose();
    }
}
