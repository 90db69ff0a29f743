using System.Diagnostics.Metrics;
using System.Text.Json;
using Microsoft.Extensions.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver;
using SpegelDapr.Resolver.Events;
using SpegelDapr.Resolver.Hearing;
using SpegelDapr.Resolver.Holders;
using SpegelDapr.Resolver.InFlight;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;
using SpegelDapr.Resolver.Subscribing;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit.Resolver;

/// <summary>One replica of a resolver without its web server: events and questions go in, wishes for snapshots and answers come out.</summary>
internal sealed class ResolverReplica : IDisposable, IWishTopic
{
    private readonly ServiceProvider _meters = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly DocumentCache _cache;
    private readonly HolderWriter _writer;
    private readonly HolderBook _holders;
    private readonly EventEndpoint _endpoint;
    private readonly HearingEndpoint _hearing;
    private readonly WishEndpoint _wishes;
    private readonly Action<SnapshotWish>? _onWish;

    public ResolverReplica(IHolderStore store, FakeTimeProvider time, ResolverOptions? resolverOptions = null, Action<SnapshotWish>? onWish = null)
    {
        _onWish = onWish;
        var options = Options.Create(resolverOptions ?? new ResolverOptions());
        var metrics = new ResolverMetrics(_meters.GetRequiredService<IMeterFactory>());
        var backoff = new ConflictBackoff(metrics, time);
        _cache = new DocumentCache(store, options, time, NullLogger<DocumentCache>.Instance);
        Leases = new LeaseBook(store, _cache, backoff, options, time, NullLogger<LeaseBook>.Instance);
        _holders = new HolderBook(_cache, Leases, time);
        _writer = new HolderWriter(store, _cache, Leases, backoff, options, time, NullLogger<HolderWriter>.Instance);
        InFlight = new InFlightBook(store, _cache, Leases, new InFlightMemory(time), backoff, options, time, NullLogger<InFlightBook>.Instance);
        var zones = Options.Create(new ZoneOptions());
        var reach = new Reach(options, zones, NullLogger<Reach>.Instance);
        var wishes = new SnapshotWishes(this, Leases, options, metrics, time, NullLogger<SnapshotWishes>.Instance);
        _wishes = new WishEndpoint(Leases, options, zones, time, NullLogger<WishEndpoint>.Instance);
        var turns = new RestartTurns(store, options, time, NullLogger<RestartTurns>.Instance);
        var silence = new SilenceWatch(Leases, Sidecar, turns, metrics, options, time, NullLogger<SilenceWatch>.Instance);
        _hearing = new HearingEndpoint(Leases, silence, options, metrics, time, NullLogger<HearingEndpoint>.Instance);
        _endpoint = new EventEndpoint(
            reach, new EventApplier(Leases, _writer, wishes, options, time), Sidecar, silence, _wishes, metrics, time, NullLogger<EventEndpoint>.Instance);
    }

    public static Location Location => Location.Default;

    public LeaseBook Leases { get; }

    public FakeSidecar Sidecar { get; } = new();

    public InFlightBook InFlight { get; }

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

    /// <summary>Answers a node's question.</summary>
    public Task<Heard> AskAsync(HearingRequest question) => _hearing.CompareAsync(question, CancellationToken.None);

    /// <summary>Delivers a wish as Dapr does.</summary>
    public Task<string> DeliverAsync(SnapshotWish wish, string? topic = null) => _wishes.AnswerAsync(
        JsonSerializer.SerializeToUtf8Bytes(
            new CloudEvent(SnapshotWish.EventType, topic ?? LayerTopics.Wishes(Location), JsonSerializer.SerializeToElement(wish, ContractsJson.Default.SnapshotWish)),
            ContractsJson.Default.CloudEvent),
        CancellationToken.None);

    public Task PublishAsync(Location location, SnapshotWish wish, CancellationToken cancellation)
    {
        Assert.Equal(Location, location);
        _onWish?.Invoke(wish);
        return Task.CompletedTask;
    }

    public void Dispose()
    {
        _cache.Dispose();
        _meters.Dispose();
    }
}
