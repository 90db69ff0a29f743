using Grpc.Core;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Subscribing;

/// <summary>
/// Has the sidecar subscribe to locations that come into reach. Dapr asks an app for its subscriptions once, when the sidecar starts, so the sidecar
/// is asked to exit, and its platform starts it again. A location that leaves is no reason: its nodes are no longer offered, what still comes of it
/// is dropped, and the sidecar's next start ends the subscription.
/// </summary>
internal sealed partial class Resubscription(
    Reach reach,
    ISidecar sidecar,
    RestartTurns turns,
    ResolverMetrics metrics,
    TimeProvider time,
    ILogger<Resubscription> logger) : BackgroundService
{
    /// <summary>The time between two looks at a sidecar that is not subscribed to everything yet.</summary>
    public static readonly TimeSpan CheckInterval = TimeSpan.FromSeconds(5);

    /// <summary>Several locations that appear together are worth one restart.</summary>
    public static readonly TimeSpan Settling = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan CheckBudget = TimeSpan.FromSeconds(5);

    /// <summary>Whether the sidecar, or the store, has last answered; at first nothing is expected, and the check of the store says that it is waited for.</summary>
    private bool _answers;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (!reach.FollowsNodes)
        {
            return;
        }

        await reach.FirstSeen.WaitAsync(stoppingToken);
        while (true)
        {
            var changed = reach.Changed;
            while (!await CheckAsync(stoppingToken))
            {
                await Task.Delay(CheckInterval, time, stoppingToken);
            }

            await changed.WaitAsync(stoppingToken);
            await Task.Delay(Settling, time, stoppingToken);
            Log.Changed(logger, string.Join(", ", reach.Locations));
        }
    }

    /// <summary>Whether the sidecar is subscribed to all that is in reach. If not, asks it to restart when it is this replica's turn.</summary>
    private async Task<bool> CheckAsync(CancellationToken stopping)
    {
        using var budget = new CancellationTokenSource(CheckBudget, time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, stopping);
        try
        {
            var topics = await sidecar.ReadTopicsAsync(linked.Token);
            var missing = reach.Locations.Where(location => !topics.Contains(LayerTopics.Events(location))).ToList();
            if (missing.Count == 0)
            {
                _answers = true;
                return true;
            }

            // Without any topic it has only just started, and will ask.
            if (topics.Count > 0 && await turns.TryTakeAsync(linked.Token))
            {
                Log.Restarting(logger, string.Join(", ", missing));
                await sidecar.ShutdownAsync(linked.Token);
                metrics.SidecarRestarted();
            }

            _answers = true;
        }
        catch (Exception e) when (
            e is RpcException or StoreUnavailableException || (e is OperationCanceledException && !stopping.IsCancellationRequested))
        {
            if (_answers)
            {
                Log.CannotSubscribe(logger, e.Message);
            }

            _answers = false;
        }

        return false;
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "The nodes in reach are now at {Locations}.")]
        public static partial void Changed(ILogger logger, string locations);

        [LoggerMessage(LogLevel.Information, "The sidecar is asked to restart, so that it subscribes to {Locations}.")]
        public static partial void Restarting(ILogger logger, string locations);

        [LoggerMessage(LogLevel.Warning, "Whether the sidecar is subscribed to all locations in reach cannot be seen to: {Reason}")]
        public static partial void CannotSubscribe(ILogger logger, string reason);
    }
}
