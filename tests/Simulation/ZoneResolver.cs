using System.Diagnostics.Metrics;
using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver;
using SpegelDapr.Resolver.InFlight;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Simulation;

/// <summary>The zone's resolver, with some replicas that are asked in turn, as nodes reach it over Dapr service invocation.</summary>
internal sealed class ZoneResolver : HttpMessageHandler
{
    private const int Replicas = 2;

    /// <summary>Over two sidecars.</summary>
    private static readonly TimeSpan Way = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan WriteTakes = TimeSpan.FromMilliseconds(2);

    private readonly Swarm _swarm;
    private readonly IOptions<ResolverOptions> _options = Options.Create(new ResolverOptions());
    private readonly List<(InFlightBook InFlight, LeaseBook Leases, DocumentCache Cache)> _replicas = [];
    private int _turn;

    public ZoneResolver(Swarm swarm, IMeterFactory meters)
    {
        _swarm = swarm;
        Store = new ZoneStore(swarm.Time, WriteTakes);
        for (var i = 0; i < Replicas; i++)
        {
            var random = new Random(swarm.Plan.Seed + i);
            var backoff = new ConflictBackoff(new ResolverMetrics(meters), swarm.Time) { Random = random };
            var cache = new DocumentCache(Store, _options, swarm.Time, NullLogger<DocumentCache>.Instance);
            var leases = new LeaseBook(Store, cache, backoff, _options, swarm.Time, NullLogger<LeaseBook>.Instance);
            var inFlight = new InFlightBook(
                Store, cache, leases, new InFlightMemory(swarm.Time), backoff, _options, swarm.Time, NullLogger<InFlightBook>.Instance) { Random = random };
            _replicas.Add((inFlight, leases, cache));
        }
    }

    /// <summary>What it remembers.</summary>
    public ZoneStore Store { get; }

    /// <summary>Gives a node a lease until then.</summary>
    public void Lease(NodeIdentity node, DateTimeOffset until) =>
        Store.Put(new Lease(node, 1, until).ToWrite(StoreKeys.Lease(node.Location, node.Name), StoreJson.Default.Lease, null, TimeSpan.FromDays(1)));

    /// <summary>How long a node counts as alive after it has gone.</summary>
    public TimeSpan LeaseDuration => _options.Value.LeaseDuration;

    /// <inheritdoc/>
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        await Task.Delay(Way, _swarm.Time, cancellationToken);
        var (inFlight, leases, _) = _replicas[_turn++ % Replicas];
        var path = request.RequestUri!.AbsolutePath;
        try
        {
            if (path == "/" + FollowRequest.Method)
            {
                var question = JsonSerializer.Deserialize(await request.Content!.ReadAsByteArrayAsync(cancellationToken), ContractsJson.Default.FollowRequest)!;
                _swarm.Asked(question);
                return Answer(await inFlight.FollowAsync(question, cancellationToken), ContractsJson.Default.FollowAnswer);
            }

            _swarm.Result.NodeQuestions++;
            var claim = PeerClaim.TryParse(path["/v1/nodes/".Length..], out var parsed) ? parsed : throw new NotSupportedException(path);
            var holder = new LeaseHolder(claim.Location, claim.Name);
            var known = await leases.RecallAsync([holder], cancellationToken);
            var node = known.TryGetValue(holder, out var lease) && lease.IsAlive(_swarm.Time.GetUtcNow()) ? lease.Node : null;
            return Answer(new NodeAnswer(claim, node), ContractsJson.Default.NodeAnswer);
        }
        catch (StoreUnavailableException)
        {
            _swarm.Result.Unavailable++;
            return new HttpResponseMessage(HttpStatusCode.ServiceUnavailable);
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        _replicas.ForEach(replica => replica.Cache.Dispose());
        base.Dispose(disposing);
    }

    private static HttpResponseMessage Answer<T>(T answer, JsonTypeInfo<T> type) =>
        new(HttpStatusCode.OK) { Content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(answer, type)) };
}
