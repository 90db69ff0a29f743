using System.Diagnostics.Metrics;
using SpegelDapr.Resolver.Nodes;

namespace SpegelDapr.Resolver;

/// <summary>The resolver's figures.</summary>
internal sealed class ResolverMetrics
{
    private static readonly InstrumentAdvice<double> WaitBuckets = new()
    {
        HistogramBucketBoundaries = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2],
    };

    private readonly Counter<long> _events;
    private readonly Counter<long> _keys;
    private readonly Counter<long> _comparisons;
    private readonly Counter<long> _snapshotWishes;
    private readonly Counter<long> _storeFailures;
    private readonly Counter<long> _conflicts;
    private readonly Counter<long> _sidecarRestarts;
    private readonly Counter<long> _leasesEnded;
    private readonly Histogram<double> _resolve;
    private readonly Histogram<double> _follow;
    private readonly Histogram<double> _apply;

    public ResolverMetrics(IMeterFactory meters)
    {
        var meter = meters.Create("SpegelDapr.Resolver");
        _events = meter.CreateCounter<long>("spegel_dapr.resolver.events", "{event}", "Layer events heard, by type and outcome.");
        _apply = meter.CreateHistogram(
            "spegel_dapr.resolver.event.duration", "s", "How long an event took to be applied, by type.", advice: WaitBuckets);
        _keys = meter.CreateCounter<long>("spegel_dapr.resolver.keys", "{key}", "Keys that were looked up, by outcome: hit or miss.");
        _resolve = meter.CreateHistogram("spegel_dapr.resolver.resolve.duration", "s", "How long a question took to be answered, by outcome.", advice: WaitBuckets);
        _follow = meter.CreateHistogram(
            "spegel_dapr.resolver.follow.duration", "s", "How long it took to tell a node whom to follow, by outcome.", advice: WaitBuckets);
        _comparisons = meter.CreateCounter<long>(
            "spegel_dapr.resolver.comparisons", "{question}", "Nodes' questions whether all has been heard that they have said, by answer.");
        _snapshotWishes = meter.CreateCounter<long>(
            "spegel_dapr.resolver.snapshot_wishes", "{wish}", "Snapshots of other zones' nodes that were wished for.");
        _storeFailures = meter.CreateCounter<long>("spegel_dapr.resolver.store_failures", "{failure}", "Reads and writes that the state store refused or left unanswered.");
        _conflicts = meter.CreateCounter<long>("spegel_dapr.resolver.store_conflicts", "{write}", "Writes that were repeated because another replica came first.");
        _sidecarRestarts = meter.CreateCounter<long>(
            "spegel_dapr.resolver.sidecar_restarts", "{restart}", "Restarts that the sidecar was asked for, by reason: subscriptions or silence.");
        _leasesEnded = meter.CreateCounter<long>("spegel_dapr.resolver.leases_ended", "{lease}", "Leases ended because Kubernetes has lost the node, by reason.");
    }

    /// <param name="type">The event's kind: <c>snapshot</c>, <c>delta</c>, <c>heartbeat</c>, <c>leaving</c> or <c>unknown</c>.</param>
    /// <param name="outcome"><c>applied</c>, <c>duplicate</c>, <c>stale</c>, <c>retried</c>, or <c>dropped</c> with its reason.</param>
    /// <param name="reason">Why it was dropped.</param>
    public void Event(string type, string outcome, string? reason = null) => _events.Add(
        1, new("type", type), new("outcome", outcome), new("reason", reason ?? ""));

    public void EventDuration(TimeSpan duration, string type) => _apply.Record(duration.TotalSeconds, new KeyValuePair<string, object?>("type", type));

    /// <param name="outcome"><c>answered</c>, <c>unavailable</c> or <c>invalid</c>.</param>
    public void Resolved(TimeSpan duration, string outcome) => _resolve.Record(duration.TotalSeconds, new KeyValuePair<string, object?>("outcome", outcome));

    /// <param name="outcome"><c>lead</c>, <c>follow</c>, <c>unavailable</c> or <c>invalid</c>.</param>
    public void Followed(TimeSpan duration, string outcome) => _follow.Record(duration.TotalSeconds, new KeyValuePair<string, object?>("outcome", outcome));

    public void Keys(int hits, int misses)
    {
        _keys.Add(hits, new KeyValuePair<string, object?>("outcome", "hit"));
        _keys.Add(misses, new KeyValuePair<string, object?>("outcome", "miss"));
    }

    /// <param name="answer"><c>matches</c>, <c>behind</c>, <c>differs</c>, <c>unknown</c>, <c>unavailable</c> or <c>invalid</c>.</param>
    public void Compared(string answer) => _comparisons.Add(1, new KeyValuePair<string, object?>("answer", answer));

    public void SnapshotWished() => _snapshotWishes.Add(1);

    public void StoreFailed() => _storeFailures.Add(1);

    public void LeaseEnded(NodeLoss loss) =>
        _leasesEnded.Add(1, new KeyValuePair<string, object?>("reason", loss == NodeLoss.Deleted ? "deleted" : "not_ready"));

    public void StoreConflict() => _conflicts.Add(1);

    /// <param name="reason"><c>subscriptions</c>, to hear what has come into reach, or <c>silence</c>, as it delivered nothing any more.</param>
    public void SidecarRestarted(string reason) => _sidecarRestarts.Add(1, new KeyValuePair<string, object?>("reason", reason));
}
