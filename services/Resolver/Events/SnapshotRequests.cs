using System.Collections.Concurrent;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Events;

/// <summary>
/// Asks nodes for snapshots when what has been heard of them cannot be all: the way back from lost events and from an emptied store. A request
/// that is lost is made again after the next heartbeat.
/// </summary>
internal sealed partial class SnapshotRequests(
    LeaseBook leases,
    ISyncTopic topic,
    ResolverMetrics metrics,
    TimeProvider time,
    IHostApplicationLifetime lifetime,
    ILogger<SnapshotRequests> logger)
{
    /// <summary>
    /// How old a node's last snapshot may become. What a store loses by itself, such as documents that are evicted or expire, comes back with
    /// the next.
    /// </summary>
    public static readonly TimeSpan MostAge = TimeSpan.FromDays(1);

    /// <summary>How long an event that others have overtaken is waited for.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    /// <summary>The least time between two requests to one node: it needs some to answer.</summary>
    private static readonly TimeSpan LeastInterval = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan PublishBudget = TimeSpan.FromSeconds(5);

    private readonly ConcurrentDictionary<LeaseHolder, DateTimeOffset> _asked = new();
    private readonly ConcurrentDictionary<LeaseHolder, LayerEvent> _waiting = new();

    /// <summary>Compares what a node says it has sent and holds with what has been applied.</summary>
    /// <param name="heartbeat">What it says.</param>
    /// <param name="lease">What has been applied.</param>
    /// <param name="isKnownEpoch">Whether anything of this epoch had been heard before.</param>
    /// <param name="cancellation">Ends the request.</param>
    public async Task CompareAsync(HeartbeatEvent heartbeat, Lease lease, bool isKnownEpoch, CancellationToken cancellation)
    {
        if (lease.Epoch != heartbeat.Epoch || lease.Left)
        {
            return;
        }

        if (heartbeat.Sequence > lease.Applied)
        {
            if (isKnownEpoch)
            {
                AskIfStillMissing(heartbeat);
            }
            else
            {
                await AskAsync(heartbeat.Node, heartbeat.Epoch, "unknown", cancellation);
            }
        }
        else if (heartbeat.Sequence == lease.Applied && heartbeat.Summary != lease.Summary)
        {
            await AskAsync(heartbeat.Node, heartbeat.Epoch, "checksum", cancellation);
        }
        else if (time.GetUtcNow() - lease.BasedAt > MostAge)
        {
            await AskAsync(heartbeat.Node, heartbeat.Epoch, "age", cancellation);
        }
    }

    /// <summary>Looks whether events before a delta that has been applied are missing.</summary>
    public async Task CompareAsync(DeltaEvent delta, Lease lease, CancellationToken cancellation)
    {
        if (lease.Epoch != delta.Epoch || lease.Left)
        {
            return;
        }

        if (lease.IsFarAhead)
        {
            await AskAsync(delta.Node, delta.Epoch, "gap", cancellation);
        }
        else if (lease.Applied == 0)
        {
            AskIfStillMissing(delta);
        }
    }

    /// <summary>Asks after the grace, if by then the event or those before it have not come.</summary>
    private void AskIfStillMissing(LayerEvent layerEvent)
    {
        var node = new LeaseHolder(layerEvent.Node.Location, layerEvent.Node.Name);
        if (_waiting.TryAdd(node, layerEvent))
        {
            _ = AskAfterGraceAsync(layerEvent, node);
        }
    }

    private async Task AskAfterGraceAsync(LayerEvent layerEvent, LeaseHolder node)
    {
        try
        {
            await Task.Delay(Grace, time, lifetime.ApplicationStopping);
            var lease = await leases.FindAsync(node.Location, node.Name, lifetime.ApplicationStopping);
            if (lease is null || (lease.Epoch == layerEvent.Epoch && lease.Applied < layerEvent.Sequence && !lease.Left))
            {
                await AskAsync(layerEvent.Node, layerEvent.Epoch, "gap", lifetime.ApplicationStopping);
            }
        }
        catch (StoreUnavailableException e)
        {
            Log.CannotLook(logger, node.Name, e.Message);
        }
        catch (OperationCanceledException)
        {
            // The service stops; the node's next heartbeat is compared by another replica.
        }
        finally
        {
            _waiting.TryRemove(node, out _);
        }
    }

    private async Task AskAsync(NodeIdentity node, long epoch, string reason, CancellationToken cancellation)
    {
        if (!MayAsk(new LeaseHolder(node.Location, node.Name)))
        {
            return;
        }

        using var budget = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        budget.CancelAfter(PublishBudget);
        try
        {
            await topic.PublishAsync(node.Location, new SyncRequest(node.Name, epoch), budget.Token);
            metrics.SnapshotRequested(reason);
            Log.Asked(logger, node.Name, reason);
        }
        catch (Exception e) when (e is Dapr.DaprException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            Log.CannotAsk(logger, node.Name, e.Message);
        }
    }

    private bool MayAsk(LeaseHolder node)
    {
        var now = time.GetUtcNow();
        foreach (var (other, asked) in _asked)
        {
            if (now - asked >= LeastInterval)
            {
                _asked.TryRemove(KeyValuePair.Create(other, asked));
            }
        }

        return _asked.TryAdd(node, now);
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "Asked node {Node} for a snapshot ({Reason}).")]
        public static partial void Asked(ILogger logger, NodeName node, string reason);

        [LoggerMessage(LogLevel.Warning, "Node {Node} cannot be asked for a snapshot: {Reason}")]
        public static partial void CannotAsk(ILogger logger, NodeName node, string reason);

        [LoggerMessage(LogLevel.Warning, "Whether events of node {Node} are missing cannot be seen: {Reason}")]
        public static partial void CannotLook(ILogger logger, NodeName node, string reason);
    }
}
