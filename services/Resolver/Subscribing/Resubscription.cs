using Grpc.Core;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Subscribing;

/// <summary>
/// Has the sidecar subscribe to locations that come into reach. Where <c>Subscription</c> resources say what it hears, a sidecar with hot reload takes in
/// those that are applied for a new zone, and is left alone. Any other asks for the app's subscriptions once, when it starts, so it is asked to exit, and
/// its platform starts it again. A location that leaves is no reason: its nodes are no longer offered, and what still comes of it is dropped.
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

    private string _missing = "";
    private bool _isTold;

    /// <summary>Whether the sidecar, or the store, has last answered; at first nothing is expected, and the check of the store says that it is waited for.</summary>
    private bool _answers;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
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

    /// <summary>
    /// Whether the sidecar is subscribed to all that is in reach. If not, says what to apply where resources declare that, or else asks it to restart when
    /// it is this replica's turn.
    /// </summary>
    private async Task<bool> CheckAsync(CancellationToken stopping)
    {
        using var budget = new CancellationTokenSource(CheckBudget, time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, stopping);
        try
        {
            var state = await sidecar.ReadAsync(linked.Token);
            var missing = reach.Locations.Where(location => !state.Topics.Contains(LayerTopics.Events(location))).ToList();
            if (missing.Count == 0)
            {
                _answers = true;
                return true;
            }

            if (state.IsDeclared)
            {
                TellMissing(string.Join(", ", missing));
            }

            // Without any topic of the app's own it has only just started, and will ask.
            else if (state.Topics.Count > state.Declared.Count && await turns.TryTakeAsync(linked.Token))
            {
                Log.Restarting(logger, string.Join(", ", missing));
                await sidecar.ShutdownAsync(linked.Token);
                metrics.SidecarRestarted("subscriptions");
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

    // Not what is missing for a moment only, as while the sidecar starts.
    private void TellMissing(string missing)
    {
        if (missing != _missing)
        {
            (_missing, _isTold) = (missing, false);
        }
        else if (!_isTold)
        {
            _isTold = true;
            Log.Missing(logger, missing);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "The nodes in reach are now at {Locations}.")]
        public static partial void Changed(ILogger logger, string locations);

        [LoggerMessage(LogLevel.Information, "The sidecar is asked to restart, so that it subscribes to {Locations}.")]
        public static partial void Restarting(ILogger logger, string locations);

        [LoggerMessage(
            LogLevel.Warning,
            "The sidecar does not hear {Locations}: apply what `spegel-dapr components` prints for all zones, or `helm upgrade` with all of them in `zones`. It takes that in while it runs.")]
        public static partial void Missing(ILogger logger, string locations);

        [LoggerMessage(LogLevel.Warning, "Whether the sidecar is subscribed to all locations in reach cannot be seen to: {Reason}")]
        public static partial void CannotSubscribe(ILogger logger, string reason);
    }
}
