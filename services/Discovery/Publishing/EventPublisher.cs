using Microsoft.Extensions.Diagnostics.HealthChecks;
using SpegelDapr.Contracts;

namespace SpegelDapr.Discovery.Publishing;

/// <summary>Publishes one event after the other, each until it has been taken: never lost, never skipped, perhaps twice.</summary>
internal sealed partial class EventPublisher(IEventSink sink, DiscoveryMetrics metrics, TimeProvider time, ILogger<EventPublisher> logger) : IHealthCheck
{
    private static readonly TimeSpan AttemptBudget = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan FirstRetryDelay = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestRetryDelay = TimeSpan.FromSeconds(2);

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

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "Cannot publish a {Type}; it is tried again until it is taken: {Reason}")]
        public static partial void Failed(ILogger logger, string type, string reason);

        [LoggerMessage(Level = LogLevel.Information, Message = "Publishing again, after {Seconds:0.0} s")]
        public static partial void Resumed(ILogger logger, double seconds);
    }
}
