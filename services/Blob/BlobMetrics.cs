using System.Diagnostics.Metrics;
using SpegelDapr.Blob.Http;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob;

/// <summary>
/// The mirror's figures. <c>requester</c> is <c>node</c> for the node's own containerd and <c>peer</c> for another node's blob service,
/// so that what a node pulls and what it gives to others are told apart.
/// </summary>
internal sealed class BlobMetrics
{
    private static readonly InstrumentAdvice<double> WaitBuckets = new()
    {
        HistogramBucketBoundaries = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
    };

    private static readonly InstrumentAdvice<double> TransferBuckets = new()
    {
        HistogramBucketBoundaries = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300],
    };

    private readonly Counter<long> _served;
    private readonly Counter<long> _relayed;
    private readonly Counter<long> _requests;
    private readonly Histogram<double> _resolve;
    private readonly Histogram<double> _firstByte;
    private readonly Histogram<double> _transfer;
    private readonly Counter<long> _upstream;
    private readonly Histogram<double> _upstreamTransfer;
    private readonly Counter<long> _corrupt;
    private readonly Counter<long> _shunned;
    private readonly Counter<long> _resumed;
    private readonly Counter<long> _hedged;
    private readonly Counter<long> _denied;
    private readonly Meter _meter;

    public BlobMetrics(IMeterFactory meters)
    {
        var meter = _meter = meters.Create("SpegelDapr.Blob");
        _served = meter.CreateCounter<long>("spegel_dapr.blob.served", "By", "Bytes of content sent, by the tier they came from.");
        _relayed = meter.CreateCounter<long>(
            "spegel_dapr.blob.relayed", "By", "Bytes sent, among the others, that a node of the zone was still downloading: this one, or the one they came from.");
        _requests = meter.CreateCounter<long>("spegel_dapr.blob.requests", "{request}", "Requests for content, by outcome.");
        _resolve = meter.CreateHistogram(
            "spegel_dapr.blob.resolve.duration", "s", "How long the resolver took to answer, by outcome.", advice: WaitBuckets);
        _firstByte = meter.CreateHistogram(
            "spegel_dapr.blob.peer.first_byte", "s", "How long a peer took to begin its answer, by tier.", advice: WaitBuckets);
        _transfer = meter.CreateHistogram(
            "spegel_dapr.blob.peer.transfer", "s", "How long content from peers took until it was there whole.", advice: TransferBuckets);
        _upstream = meter.CreateCounter<long>("spegel_dapr.blob.upstream", "By", "Bytes of content that containerd fetched itself after a miss.");
        _upstreamTransfer = meter.CreateHistogram(
            "spegel_dapr.blob.upstream.transfer", "s", "How long containerd took for them, from the miss to the last byte.", advice: TransferBuckets);
        _corrupt = meter.CreateCounter<long>("spegel_dapr.blob.corrupt", "{blob}", "Content that does not match its digest, by where.");
        _shunned = meter.CreateCounter<long>("spegel_dapr.blob.shunned", "{holder}", "Holders that are no longer asked for some content.");
        _resumed = meter.CreateCounter<long>("spegel_dapr.blob.resumed", "{blob}", "Transfers that another holder continued.");
        _hedged = meter.CreateCounter<long>("spegel_dapr.blob.hedged", "{request}", "Further peers asked because the first was slow.");
        _denied = meter.CreateCounter<long>("spegel_dapr.blob.denied", "{request}", "Requests from outside a closed boundary, which were refused.");
    }

    /// <summary>Has it observed whether something else than this mirror answers at the mirror's address.</summary>
    public void ObserveMirrorAddress(Func<bool> isTaken) => _meter.CreateObservableGauge(
        "spegel_dapr.blob.mirror_address_taken", () => isTaken() ? 1 : 0, description: "1 while something else answers where the node's containerd looks for the mirror, else 0.");

    public void Served(long bytes, Tier tier, ContentKind kind, bool toPeer, bool isRelayed = false)
    {
        _served.Add(bytes, new("tier", tier.Name()), new("kind", Name(kind)), new("requester", Requester(toPeer)));
        if (isRelayed)
        {
            _relayed.Add(bytes, new("tier", tier.Name()), new("kind", Name(kind)), new("requester", Requester(toPeer)));
        }
    }

    public void Request(RequestOutcome outcome, ContentKind kind, bool fromPeer) => _requests.Add(
        1, new("outcome", outcome.Name()), new("kind", Name(kind)), new("requester", Requester(fromPeer)));

    /// <param name="outcome"><c>answered</c> or <c>unavailable</c>.</param>
    public void Resolved(TimeSpan duration, string outcome) =>
        _resolve.Record(duration.TotalSeconds, new KeyValuePair<string, object?>("outcome", outcome));

    public void FirstByte(TimeSpan duration, Tier tier) =>
        _firstByte.Record(duration.TotalSeconds, new KeyValuePair<string, object?>("tier", tier.Name()));

    public void Transferred(TimeSpan duration, Tier tier) =>
        _transfer.Record(duration.TotalSeconds, new KeyValuePair<string, object?>("tier", tier.Name()));

    public void ReceivedFromUpstream(long bytes, TimeSpan duration)
    {
        _upstream.Add(bytes);
        _upstreamTransfer.Record(duration.TotalSeconds);
    }

    /// <param name="where"><c>local</c>, <c>ingest</c> (what this node is downloading) or <c>peer</c>.</param>
    public void Corrupt(string where) => _corrupt.Add(1, new KeyValuePair<string, object?>("where", where));

    public void Shunned() => _shunned.Add(1);

    public void Resumed() => _resumed.Add(1);

    public void Hedged() => _hedged.Add(1);

    public void Denied() => _denied.Add(1);

    private static string Name(ContentKind kind) => kind switch
    {
        ContentKind.Manifest => "manifest",
        ContentKind.Referrers => "referrers",
        _ => "blob",
    };

    private static string Requester(bool peer) => peer ? "peer" : "node";
}
