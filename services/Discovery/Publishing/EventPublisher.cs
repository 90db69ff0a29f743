using Microsoft.Extensions.Diagnostics.HealthChecks;
using SpegelDapr.Contracts;

namespace SpegelDapr.Discovery.Publishing;

/// <summary>
/// Publishes one event after the other, each until it has been taken: never lost, never skipped, perhaps twice. A sidecar that takes none for minutes
/// though it answers is asked to restart, since some brokers' components never come back from an outage (nats.go closes a connection for good after 60
/// attempts). The broker itself may be away as well, for all nodes at once and for long: so nodes do it at different times, and each rarely.
/// </summary>
internal sealed partial class EventPublisher(IEventSink sink, DiscoveryMetrics metrics, TimeProvider time, ILogger<EventPublisher> logger) : IHealthCheck
{
    private static readonly TimeSpan AttemptBudget = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan FirstRetryDelay = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestRetryDelay = TimeSpan.FromSeconds(2);

    /// <summary>A restart comes after a time between these two without an event taken.</summary>
    internal static readonly TimeSpan LeastPatience = TimeSpan.FromMinutes(1);
    internal static readonly TimeSpan MostPatience = TimeSpan.FromMinutes(5);

    /// <summary>The least time between two restarts; up to half of it more.</summary>
    internal static readonly TimeSpan RestartPause = TimeSpan.FromMinutes(15);

    private long? _restarted;
    private TimeSpan _pause;

    /// <summary>What the first event fails by; null before it has been tried.</summary>
    private volatile string? _failure;
    private volatile bool _hasPublished;

    /// <summary>
    /// Ready once an event has been taken, and from then on: what has never been announced is a node without a sidecar, and a rollout is not to go on with
    /// those, while a sidecar that is gone for a while is no reason to call the node away.
    /// </summary>
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) => Task.FromResult(
        _hasPublished ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy(_failure ?? "nothing has been published yet"));

    /// <summary>Publishes an event; retries, ever more slowly, until it has been taken or <paramref name="cancellationToken"/> is cancelled.</summary>
    public async Task PublishAsync(LayerEvent layerEvent, CancellationToken cancellationToken)
    {
        var json = ContractsJson.Serialize(layerEvent);
        var start = time.GetTimestamp();
        var delay = FirstRetryDelay;
        var patience = LeastPatience + ((MostPatience - LeastPatience) * Random.Shared.NextDouble());
        for (var attempt = 1; ; attempt++)
        {
            if (await FailureAsync(layerEvent, json, cancellationToken) is not { } failure)
            {
                metrics.Published(layerEvent.Type);
                if (attempt > 1)
                {
                    var away = time.GetElapsedTime(start);
                    Log.Resumed(logger, away.TotalSeconds);
                }

                _hasPublished = true;
                return;
            }

            metrics.PublishFailed();
            _failure = failure;
            if (attempt == 1)
            {
                Log.Failed(logger, layerEvent.Type, failure);
            }

            if (time.GetElapsedTime(start) >= patience)
            {
                await RestartAsync(failure, cancellationToken);
            }

            await Task.Delay(delay * (0.75 + (Random.Shared.NextDouble() / 2)), time, cancellationToken);
            delay = delay * 2 < LongestRetryDelay ? delay * 2 : LongestRetryDelay;
        }
    }

    /// <summary>Makes one attempt; null when the event has been taken, else why not.</summary>
    private async Task<string?> FailureAsync(LayerEvent layerEvent, byte[] json, CancellationToken cancellationToken)
    {
        using var budget = new CancellationTokenSource(AttemptBudget, time);
        using var attempt = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, cancellationToken);
        try
        {
            await sink.SendAsync(layerEvent, json, attempt.Token);
            return null;
        }
        catch (EventNotTakenException e)
        {
            return e.Message;
        }
        catch (OperationCanceledException) when (budget.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            return $"the sidecar has not answered in {AttemptBudget.TotalSeconds} s";
        }
    }

    private async Task RestartAsync(string failure, CancellationToken cancellationToken)
    {
        if (_restarted is { } restarted && time.GetElapsedTime(restarted) < _pause)
        {
            return;
        }

        using var budget = new CancellationTokenSource(AttemptBudget, time);
        using var attempt = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, cancellationToken);
        try
        {
            if (await sink.TryRestartAsync(attempt.Token))
            {
                _restarted = time.GetTimestamp();
                _pause = RestartPause * (1 + (Random.Shared.NextDouble() / 2));
                metrics.SidecarRestarted();
                Log.Restarted(logger, failure);
            }
        }
        catch (OperationCanceledException) when (budget.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            // It does not answer, so it is not told: the next attempt to publish says so.
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "The sidecar answers, but has taken no event for minutes, and is asked to restart: {Reason}")]
        public static partial void Restarted(ILogger logger, string reason);

        [LoggerMessage(Level = LogLevel.Warning, Message = "Cannot publish a {Type}; it is tried again until it is taken: {Reason}")]
        public static partial void Failed(ILogger logger, string type, string reason);

        [LoggerMessage(Level = LogLevel.Information, Message = "Publishing again, after {Seconds:0.0} s")]
        public static partial void Resumed(ILogger logger, double seconds);
    }
}
