using System.Collections.Concurrent;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Hearing;

/// <summary>
/// Wishes for snapshots of other zones' nodes when something of what they have said is missing here. Those of the own zone ask by themselves. Where the
/// other zone has the same store, its resolvers see the same and the node has asked them before <see cref="Patience"/> is over: only with stores of
/// their own is anything wished for. A wish that is lost is made again, and so is one whose snapshot has not come here, ever more rarely.
/// </summary>
internal sealed partial class SnapshotWishes(
    IWishTopic topic,
    LeaseBook leases,
    IOptions<ResolverOptions> options,
    ResolverMetrics metrics,
    TimeProvider time,
    ILogger<SnapshotWishes> logger)
{
    /// <summary>
    /// The least time between two wishes for one node: it hears of the first after a heartbeat, and needs some time to answer. It doubles until the node's
    /// content is known here.
    /// </summary>
    private static readonly TimeSpan LeastInterval = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan MostInterval = TimeSpan.FromHours(1);

    /// <summary>How long what a heartbeat claims is waited for.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(5);

    private readonly Location _here = options.Value.Location;
    private readonly ConcurrentDictionary<LeaseHolder, Pause> _pauses = new();

    /// <summary>Compares what a node says with what was known of it before it said so, and again after <see cref="Patience"/> if something was missing.</summary>
    /// <param name="heartbeat">What it says.</param>
    /// <param name="known">What was known; null for nothing.</param>
    public void Compare(HeartbeatEvent heartbeat, Lease? known)
    {
        var node = new LeaseHolder(heartbeat.Node.Location, heartbeat.Node.Name);
        if (node.Location == _here)
        {
            return;
        }

        if (!IsMissing(heartbeat, known))
        {
            _pauses.TryRemove(node, out _);
        }
        else if (MayWish(node))
        {
            _ = WishIfStillMissingAsync(node, heartbeat);
        }
    }

    private bool IsMissing(HeartbeatEvent heartbeat, Lease? known) =>
        known?.Compare(heartbeat.Epoch, heartbeat.Sequence, heartbeat.Summary, time.GetUtcNow(), Patience) != Heard.Matches;

    private bool MayWish(LeaseHolder node)
    {
        var now = time.GetUtcNow();
        var before = _pauses.GetValueOrDefault(node);
        if (now < before?.EndsAt)
        {
            return false;
        }

        // A node whose pause ended long ago has gone.
        foreach (var old in _pauses.Where(old => now - old.Value.EndsAt >= MostInterval))
        {
            _pauses.TryRemove(old);
        }

        var length = before is null ? LeastInterval : 2 * before.Length < MostInterval ? 2 * before.Length : MostInterval;
        var pause = new Pause(now + length, length);
        return before is null ? _pauses.TryAdd(node, pause) : _pauses.TryUpdate(node, pause, before);
    }

    private async Task WishIfStillMissingAsync(LeaseHolder node, HeartbeatEvent heartbeat)
    {
        await Task.Delay(Patience, time);
        using var budget = new CancellationTokenSource(Budget, time);
        try
        {
            if (!IsMissing(heartbeat, await leases.FindAsync(node.Location, node.Name, budget.Token)))
            {
                _pauses.TryRemove(node, out _);
                return;
            }

            await topic.PublishAsync(node.Location, new SnapshotWish(node.Name, heartbeat.Epoch, time.GetUtcNow()), budget.Token);
            metrics.SnapshotWished();
            Log.Wished(logger, node.Name, node.Location);
        }
        catch (Exception e) when (e is Dapr.DaprException or StoreUnavailableException or OperationCanceledException)
        {
            Log.CannotWish(logger, node.Name, node.Location, e.Message);
        }
    }

    /// <param name="EndsAt">When the next wish may follow.</param>
    /// <param name="Length">How long it is.</param>
    private sealed record Pause(DateTimeOffset EndsAt, TimeSpan Length);

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "Wished for a snapshot of node {Node} at {Location}, of which something is missing here.")]
        public static partial void Wished(ILogger logger, NodeName node, Location location);

        [LoggerMessage(LogLevel.Warning, "A snapshot of node {Node} at {Location} cannot be wished for: {Reason}")]
        public static partial void CannotWish(ILogger logger, NodeName node, Location location, string reason);
    }
}
