using System.Collections.Concurrent;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;

namespace SpegelDapr.Resolver.Hearing;

/// <summary>
/// Wishes for snapshots of other zones' nodes when something of what they have said is missing here. Those of the own zone ask by themselves. Where the
/// other zone has the same store, its resolvers see the same and the node has asked them before <see cref="Patience"/> is over: only with stores of
/// their own is anything wished for. A wish that is lost is made again.
/// </summary>
internal sealed partial class SnapshotWishes(
    IWishTopic topic,
    IOptions<ResolverOptions> options,
    ResolverMetrics metrics,
    TimeProvider time,
    ILogger<SnapshotWishes> logger)
{
    /// <summary>The least time between two wishes for one node: it hears of the first after a heartbeat, and needs some time to answer.</summary>
    public static readonly TimeSpan LeastInterval = TimeSpan.FromMinutes(1);

    /// <summary>How long something must have been missing.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan PublishBudget = TimeSpan.FromSeconds(5);

    private readonly Location _here = options.Value.Location;
    private readonly ConcurrentDictionary<LeaseHolder, DateTimeOffset> _wished = new();

    /// <summary>Compares what a node says with what was known of it before it said so.</summary>
    /// <param name="heartbeat">What it says.</param>
    /// <param name="known">What was known; null for nothing.</param>
    /// <param name="cancellation">Ends the wish.</param>
    public async Task CompareAsync(HeartbeatEvent heartbeat, Lease? known, CancellationToken cancellation)
    {
        if (heartbeat.Node.Location == _here
            || known?.Compare(heartbeat.Epoch, heartbeat.Sequence, heartbeat.Summary, time.GetUtcNow(), Patience) != Heard.Differs
            || !MayWish(new LeaseHolder(heartbeat.Node.Location, heartbeat.Node.Name)))
        {
            return;
        }

        using var budget = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        budget.CancelAfter(PublishBudget);
        try
        {
            await topic.PublishAsync(heartbeat.Node.Location, new SnapshotWish(heartbeat.Node.Name, heartbeat.Epoch, time.GetUtcNow()), budget.Token);
            metrics.SnapshotWished();
            Log.Wished(logger, heartbeat.Node.Name, heartbeat.Node.Location);
        }
        catch (Exception e) when (e is Dapr.DaprException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            Log.CannotWish(logger, heartbeat.Node.Name, heartbeat.Node.Location, e.Message);
        }
    }

    private bool MayWish(LeaseHolder node)
    {
        var now = time.GetUtcNow();
        foreach (var old in _wished.Where(wished => now - wished.Value >= LeastInterval))
        {
            _wished.TryRemove(old);
        }

        return _wished.TryAdd(node, now);
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "Wished for a snapshot of node {Node} at {Location}, of which something is missing here.")]
        public static partial void Wished(ILogger logger, NodeName node, Location location);

        [LoggerMessage(LogLevel.Warning, "A snapshot of node {Node} at {Location} cannot be wished for: {Reason}")]
        public static partial void CannotWish(ILogger logger, NodeName node, Location location, string reason);
    }
}
