using Grpc.Core;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Subscribing;

/// <summary>
/// Has a sidecar restart that delivers nothing any more though it answers: some brokers' components do not come back from an outage (a JetStream
/// consumer that has gone is not made again). A replica is deaf when it has heard nothing for a while and no node that it heard has a lease: as long as
/// one has, others hear for all. Replicas do it in turn and each rarely, because a broker that is away makes them deaf as well.
/// </summary>
internal sealed partial class SilenceWatch(
    LeaseBook leases,
    Reach reach,
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

    /// <summary>Nodes that were heard before do not count: a zone may lose all of its nodes without a word.</summary>
    private static readonly TimeSpan LongestMemory = TimeSpan.FromHours(1);

    /// <summary>Enough that not all of them have gone by themselves.</summary>
    private const int MostNodes = 16;

    private static readonly TimeSpan CheckBudget = TimeSpan.FromSeconds(5);

    private readonly TimeSpan _interval = options.Value.LeaseDuration;
    private readonly Lock _lock = new();
    private readonly List<LeaseHolder> _nodes = [];
    private long _heard = time.GetTimestamp();
    private long? _restarted;

    /// <summary>An event has come, whatever becomes of it.</summary>
    public void Heard(LayerEvent layerEvent)
    {
        var node = new LeaseHolder(layerEvent.Node.Location, layerEvent.Node.Name);
        lock (_lock)
        {
            _heard = time.GetTimestamp();
            _nodes.Remove(node);
            if (layerEvent is not LeavingEvent)
            {
                _nodes.Add(node);
            }

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
                lock (_lock)
                {
                    _heard = time.GetTimestamp();
                }

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
            : state.Topics.Count > 0 && await IsDeafAsync(cancellation) ? "it has delivered nothing for a while and no node has a lease"
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
            var silence = time.GetElapsedTime(_heard);
            if (silence < SilentDurations * _interval || silence > LongestMemory)
            {
                return false;
            }

            nodes = [.. _nodes.Where(node => reach.Locations.Contains(node.Location))];
        }

        var now = time.GetUtcNow();
        return nodes.Count > 0 && !(await leases.FindAsync(nodes, cancellation)).Values.Any(lease => lease.IsAlive(now));
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "The sidecar is asked to restart: {Reason}.")]
        public static partial void Restarting(ILogger logger, string reason);

        [LoggerMessage(LogLevel.Debug, "Whether the sidecar is deaf is not known: {Reason}")]
        public static partial void NotChecked(ILogger logger, string reason);
    }
}
