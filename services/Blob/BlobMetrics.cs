using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Http;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob;

/// <summary>
/// The mirror's figures. <c>requester</c> is <c>node</c> for the node's own containerd and <c>peer</c> for another node's blob service,
/// so that what a node pulls and what it gives to others are told apart. All figures of bytes and time carry the node's region and zone, and bytes those of
/// where they came from. A node with <c>z</c> zones in reach has at most <c>2 z + 8</c> series of bytes sent, 620 of how fast it was answered, and 96 for each
/// of <see cref="MostRegistries"/> registries and for all others together.
/// </summary>
internal sealed class BlobMetrics
{
    private static readonly InstrumentAdvice<double> WaitBuckets = new()
    {
        HistogramBucketBoundaries = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
    };

    /// <summary>From a link of 1 Mbit/s to one of 25 Gbit/s.</summary>
    private static readonly InstrumentAdvice<double> ThroughputBuckets = new()
    {
        HistogramBucketBoundaries = [125e3, 500e3, 1.25e6, 2.5e6, 5e6, 12.5e6, 25e6, 50e6, 125e6, 250e6, 500e6, 1.25e9, 3e9],
    };

    /// <summary>A node pulls from few registries. Whatever their number, what is remembered of their names is bounded.</summary>
    private const int MostRegistries = 16;
    private const string OtherRegistry = "other";

    private readonly Counter<long> _served;
    private readonly Counter<long> _relayed;
    private readonly Counter<long> _requests;
    private readonly Histogram<double> _resolve;
    private readonly Histogram<double> _firstByte;
    private readonly Histogram<double> _throughput;
    private readonly Counter<long> _upstream;
    private readonly Histogram<double> _upstreamFirstByte;
    private readonly Histogram<double> _upstreamThroughput;
    private readonly Counter<long> _corrupt;
    private readonly Counter<long> _shunned;
    private readonly Counter<long> _resumed;
    private readonly Counter<long> _hedged;
    private readonly Counter<long> _denied;
    private readonly Meter _meter;
    private readonly TimeProvider _time;
    private readonly KeyValuePair<string, object?> _region;
    private readonly KeyValuePair<string, object?> _zone;
    private readonly HashSet<string> _registries = [];
    private long _answeredAt;
    private long _resolvedAt;

    public BlobMetrics(IMeterFactory meters, IOptions<NodeOptions> node, TimeProvider time)
    {
        _time = time;
        (_region, _zone) = (new("region", node.Value.Region), new("zone", node.Value.Zone));
        var meter = _meter = meters.Create("SpegelDapr.Blob");
        _served = meter.CreateCounter<long>("spegel_dapr.blob.served", "By", "Bytes of content sent, by where they came from.");
        _relayed = meter.CreateCounter<long>(
            "spegel_dapr.blob.relayed", "By", "Bytes sent, among the others, that a node of the zone was still downloading: this one, or the one they came from.");
        _requests = meter.CreateCounter<long>("spegel_dapr.blob.requests", "{request}", "Requests for content, by outcome.");
        _resolve = meter.CreateHistogram(
            "spegel_dapr.blob.resolve.duration", "s", "How long the resolver took to answer, by outcome.", advice: WaitBuckets);
        _firstByte = meter.CreateHistogram(
            "spegel_dapr.blob.first_byte", "s", "From a request of the node to the first byte of the answer, by the tier it came from and the content's size.", advice: WaitBuckets);
        _throughput = meter.CreateHistogram(
            "spegel_dapr.blob.throughput", "By/s", "Bytes of an answer to the node by the time from the request to the last of them, by the tier they came from and the content's size.", advice: ThroughputBuckets);
        _upstream = meter.CreateCounter<long>("spegel_dapr.blob.upstream", "By", "Bytes of content that containerd fetched itself after a miss, by registry.");
        _upstreamFirstByte = meter.CreateHistogram(
            "spegel_dapr.blob.upstream.first_byte", "s", "From a miss to the end of what containerd then fetched itself where that was little, by registry.", advice: WaitBuckets);
        _upstreamThroughput = meter.CreateHistogram(
            "spegel_dapr.blob.upstream.throughput", "By/s", "Bytes that containerd fetched itself by the time from the miss to the last of them, by registry and the content's size.", advice: ThroughputBuckets);
        _corrupt = meter.CreateCounter<long>("spegel_dapr.blob.corrupt", "{blob}", "Content that does not match its digest, by where.");
        _shunned = meter.CreateCounter<long>("spegel_dapr.blob.shunned", "{holder}", "Holders that are no longer asked for some content.");
        _resumed = meter.CreateCounter<long>("spegel_dapr.blob.resumed", "{blob}", "Transfers that another holder continued.");
        _hedged = meter.CreateCounter<long>("spegel_dapr.blob.hedged", "{request}", "Further peers asked because the first was slow.");
        _denied = meter.CreateCounter<long>("spegel_dapr.blob.denied", "{request}", "Requests from outside a closed boundary, which were refused.");
        meter.CreateObservableGauge("spegel_dapr.blob.answered", () => TimeOf(ref _answeredAt), "s", "When the node was last given content, in Unix time.");
        meter.CreateObservableGauge("spegel_dapr.blob.resolver_answered", () => TimeOf(ref _resolvedAt), "s", "When a resolver last answered, in Unix time.");
    }

    /// <summary>Has it observed whether something else than this mirror answers at the mirror's address.</summary>
    public void ObserveMirrorAddress(Func<bool> isTaken) => _meter.CreateObservableGauge(
        "spegel_dapr.blob.mirror_address_taken", () => isTaken() ? 1 : 0, description: "1 while something else answers where the node's containerd looks for the mirror, else 0.");

    /// <summary>Bytes of content have been sent.</summary>
    /// <param name="bytes">How many.</param>
    /// <param name="from">The node they came from, which may be this one.</param>
    /// <param name="kind">What they are of.</param>
    /// <param name="toPeer">Whether another node has asked for them.</param>
    /// <param name="isRelayed">Whether the node they came from was still downloading them.</param>
    public void Served(long bytes, Holder from, ContentKind kind, bool toPeer, bool isRelayed = false)
    {
        TagList tags =
        [
            new("tier", from.Tier.Name()),
            new("kind", Name(kind)),
            new("requester", Requester(toPeer)),
            new("from_region", from.Node.Location.Region),
            new("from_zone", from.Node.Location.Zone),
            _region,
            _zone,
        ];
        _served.Add(bytes, tags);
        if (isRelayed)
        {
            _relayed.Add(bytes, tags);
        }
    }

    public void Request(RequestOutcome outcome, ContentKind kind, bool fromPeer) => _requests.Add(
        1, new("outcome", outcome.Name()), new("kind", Name(kind)), new("requester", Requester(fromPeer)));

    /// <param name="outcome"><c>answered</c> or <c>unavailable</c>.</param>
    public void Resolved(TimeSpan duration, string outcome)
    {
        _resolve.Record(duration.TotalSeconds, new("outcome", outcome), _region, _zone);
        if (outcome == "answered")
        {
            Interlocked.Exchange(ref _resolvedAt, _time.GetUtcNow().ToUnixTimeMilliseconds());
        }
    }

    /// <summary>The node has been given what it asked for.</summary>
    public void Answered() => Interlocked.Exchange(ref _answeredAt, _time.GetUtcNow().ToUnixTimeMilliseconds());

    /// <summary>The node has been given content by nodes that had it whole.</summary>
    /// <param name="tier">How far it came.</param>
    /// <param name="bytes">How many bytes.</param>
    /// <param name="firstByteSeconds">From the request to the first of them.</param>
    /// <param name="seconds">From the request to the last.</param>
    public void Transferred(Tier tier, long bytes, double firstByteSeconds, double seconds)
    {
        var (from, size) = (new KeyValuePair<string, object?>("tier", tier.Name()), new KeyValuePair<string, object?>("size", SizeClasses.Of(bytes)));
        _firstByte.Record(firstByteSeconds, [from, size, _region, _zone]);
        if (seconds > 0)
        {
            _throughput.Record(bytes / seconds, [from, size, _region, _zone]);
        }
    }

    public void ReceivedFromUpstream(string registry, long bytes, TimeSpan duration)
    {
        var from = new KeyValuePair<string, object?>("registry", Bounded(registry));
        _upstream.Add(bytes, from, _region, _zone);
        _upstreamThroughput.Record(bytes / duration.TotalSeconds, [from, new("size", SizeClasses.Of(bytes)), _region, _zone]);
        if (bytes <= TransferEstimate.SmallBytes)
        {
            _upstreamFirstByte.Record(duration.TotalSeconds, from, _region, _zone);
        }
    }

    /// <param name="where"><c>local</c>, <c>ingest</c> (what this node is downloading) or <c>peer</c>.</param>
    public void Corrupt(string where) => _corrupt.Add(1, new KeyValuePair<string, object?>("where", where));

    public void Shunned() => _shunned.Add(1);

    public void Resumed() => _resumed.Add(1);

    public void Hedged() => _hedged.Add(1);

    public void Denied() => _denied.Add(1);

    /// <summary>A kind's name in figures and recordings.</summary>
    public static string Name(ContentKind kind) => kind switch
    {
        ContentKind.Manifest => "manifest",
        ContentKind.Referrers => "referrers",
        _ => "blob",
    };

    private static string Requester(bool peer) => peer ? "peer" : "node";

    /// <summary>The registry, or one name for all beyond the first few: a request may name any.</summary>
    private string Bounded(string registry)
    {
        lock (_registries)
        {
            return registry.Length > 0 && (_registries.Contains(registry) || (_registries.Count < MostRegistries && _registries.Add(registry))) ? registry : OtherRegistry;
        }
    }

    /// <summary>Nothing before the first time.</summary>
    private IEnumerable<Measurement<double>> TimeOf(ref long milliseconds) =>
        Interlocked.Read(ref milliseconds) is var at and > 0 ? [new Measurement<double>(at / 1000.0, _region, _zone)] : [];
}
