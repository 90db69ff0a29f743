using Grpc.Core;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Subscribing;

/// <summary>
/// Has a sidecar restart that delivers nothing any more though it answers: some brokers' components do not come back from an outage (a JetStream
/// consumer that has gone is not made again). A replica is deaf when nodes of its own location ask what was heard of them, it has heard nothing from there
/// for a while, and none of those that ask has a lease: as long as one has, others hear for all. Replicas do it in turn and each rarely, because a broker
/// that is away makes them deaf as well.
/// </summary>
internal sealed partial class SilenceWatch(
    LeaseBook leases,
    ISidecar sidecar,
    RestartTurns turns,
    ResolverMetrics metrics,
    IOptions<ResolverOptions> options,
    TimeProvider time,
    ILogger<SilenceWatch> logger) : BackgroundService
{
    /// <summary>For how many lease durations there must be silence. A broker that starts anew in this time is found again by most sidecars.</summary>
    private const int SilentDurations = 6;

    /// <summary>The least time between two restarts for silence by one replica.</summary>
    public static readonly TimeSpan Pause = TimeSpan.FromMinutes(15);

    /// <summary>A silence that restarts have not ended for so long is not the sidecar's.</summary>
    private static readonly TimeSpan LongestSilence = TimeSpan.FromHours(1);

    /// <summary>For how many lease durations a node counts as one that asks. It asks each replica in turn.</summary>
    private const int AskingDurations = 2;

    /// <summary>How many of the nodes that ask are remembered: enough that some of them get their events to the broker.</summary>
    private const int MostNodes = 16;

    private static readonly TimeSpan CheckBudget = TimeSpan.FromSeconds(5);

    private readonly Location _here = options.Value.Location;
    private readonly TimeSpan _interval = options.Value.LeaseDuration;
    private readonly Lock _lock = new();
    private readonly List<(NodeName Name, long AskedAt)> _nodes = [];
    private long _heard = time.GetTimestamp();
    private long? _restarted;

    /// <summary>An event has come, whatever becomes of it.</summary>
    public void Heard(LayerEvent layerEvent)
    {
        if (layerEvent.Node.Location == _here)
        {
            ResetSilence();
        }
    }

    /// <summary>A node of the own location has asked what was heard of it.</summary>
    public void Asked(NodeName node)
    {
        lock (_lock)
        {
            _nodes.RemoveAll(one => one.Name == node);
            _nodes.Add((node, time.GetTimestamp()));
            if (_nodes.Count > MostNodes)
            {
                _nodes.RemoveAt(0);
            }
        }
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            await Task.Delay(_interval, time, stoppingToken);
            using var budget = new CancellationTokenSource(CheckBudget, time);
            using var linked = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, stoppingToken);
            try
            {
                await CheckAsync(linked.Token);
            }
            catch (Exception e) when (
                e is RpcException or StoreUnavailableException || (e is OperationCanceledException && !stoppingToken.IsCancellationRequested))
            {
                // Without a sidecar or a store there are other worries, which others log. Silence counts from when they are back.
                ResetSilence();
                Log.NotChecked(logger, e.Message);
            }
        }
    }

    private async Task CheckAsync(CancellationToken cancellation)
    {
        if (_restarted is { } restarted && time.GetElapsedTime(restarted) < Pause)
        {
            return;
        }

        var state = await sidecar.ReadAsync(cancellation);
        var why = state is { HasEvents: false, HotReloads: false } ? $"it has no component {DaprNames.LayerEvents}"
            : state.Topics.Contains(LayerTopics.Events(_here)) && await IsDeafAsync(cancellation) ? "nodes ask, and it has delivered nothing of them for a while"
            : null;
        if (why is not null && await turns.TryTakeAsync(cancellation))
        {
            Log.Restarting(logger, why);
            _restarted = time.GetTimestamp();
            await sidecar.ShutdownAsync(cancellation);
            metrics.SidecarRestarted("silence");
        }
    }

    private async Task<bool> IsDeafAsync(CancellationToken cancellation)
    {
        List<LeaseHolder> nodes;
        lock (_lock)
        {
            _nodes.RemoveAll(one => time.GetElapsedTime(one.AskedAt) > AskingDurations * _interval);
            if (_nodes.Count == 0)
            {
                // A zone without nodes is silent. It counts from when they are there.
                _heard = time.GetTimestamp();
            }

            var silence = time.GetElapsedTime(_heard);
            if (silence < SilentDurations * _interval || silence > LongestSilence)
            {
                return false;
            }

            nodes = [.. _nodes.Select(one => new LeaseHolder(_here, one.Name))];
        }

        var now = time.GetUtcNow();
        return !(await leases.FindAsync(nodes, cancellation)).Values.Any(lease => lease.IsAlive(now));
    }

    private void ResetSilence()
    {
        lock (_lock)
        {
            _heard = time.GetTimestamp();
        }
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "The sidecar is asked to restart: {Reason}.")]
        public static partial void Restarting(ILogger logger, string reason);

        [LoggerMessage(LogLevel.Debug, "Whether the sidecar is deaf is not known: {Reason}")]
        public static partial void NotChecked(ILogger logger, string reason);
    }
}
