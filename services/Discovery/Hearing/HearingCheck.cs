using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Publishing;

namespace SpegelDapr.Discovery.Hearing;

/// <summary>
/// Asks the zone's resolvers after each heartbeat whether they have heard what the node has said. Discoveries of a zone share an app id, so a resolver
/// could not address one of them; each asks for itself.
/// </summary>
internal sealed partial class HearingCheck(
    IHearingQuestion question,
    DiscoveryMetrics metrics,
    IOptions<DiscoveryOptions> options,
    TimeProvider time,
    ILogger<HearingCheck> logger)
{
    private static readonly TimeSpan AskBudget = TimeSpan.FromSeconds(2);

    /// <summary>
    /// The time from an attempt that failed to the next one. It doubles with each, but never beyond the time between heartbeats, and up to a third is added so
    /// that nodes do not ask together.
    /// </summary>
    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1.5);

    /// <summary>
    /// The most of it while resolvers answer that their store is away: a store that comes back empty is noticed so soon. While nobody answers, nothing is
    /// lost.
    /// </summary>
    private static readonly TimeSpan MostDelayWithoutStore = TimeSpan.FromSeconds(5);

    private readonly WakeSignal _said = new(time);
    private readonly SnapshotNeed _need = new(time);
    private volatile HearingRequest? _question;
    private TimeSpan _delay;
    private long? _silentSince;

    /// <summary>Has the question asked that a heartbeat, which has been published, makes.</summary>
    public void Ask(HeartbeatEvent heartbeat)
    {
        _question = new HearingRequest(heartbeat.Node.Name, heartbeat.Node.Location, heartbeat.Epoch, heartbeat.Sequence, heartbeat.Summary);
        _said.Set();
    }

    /// <summary>Asks until it is cancelled, and calls <paramref name="onSnapshotNeeded"/> when the answers call for a snapshot.</summary>
    public async Task RunAsync(Action onSnapshotNeeded, CancellationToken cancellationToken)
    {
        var next = Timeout.InfiniteTimeSpan;
        var isFirst = true;
        while (true)
        {
            isFirst |= await _said.WaitAsync(next, cancellationToken);
            next = Timeout.InfiniteTimeSpan;
            if (await TryAskAsync(cancellationToken) is not { } heard)
            {
                next = _delay * (1 + (Random.Shared.NextDouble() / 3));
                continue;
            }

            var (isNeeded, askAgain) = _need.Take(heard, isFirst);
            isFirst = false;
            if (isNeeded)
            {
                Log.Needed(logger, heard.Name());
                onSnapshotNeeded();
            }

            next = askAgain ?? next;
        }
    }

    private async Task<Heard?> TryAskAsync(CancellationToken cancellationToken)
    {
        using var budget = new CancellationTokenSource(AskBudget, time);
        using var attempt = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, cancellationToken);
        try
        {
            var heard = await question.AskAsync(_question!, attempt.Token);
            metrics.Asked(heard.Name());
            if (_silentSince is { } since)
            {
                Log.Answered(logger, time.GetElapsedTime(since).TotalSeconds);
            }

            _silentSince = null;
            return heard;
        }
        catch (NoAnswerException e)
        {
            Fail(e.Message, e.IsStoreAway);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            Fail($"no answer within {AskBudget.TotalSeconds} s", isStoreAway: false);
        }

        return null;
    }

    private void Fail(string reason, bool isStoreAway)
    {
        metrics.Asked("none");
        var longer = _silentSince is null ? RetryDelay : 2 * _delay;
        _delay = new[] { longer, options.Value.HeartbeatInterval, isStoreAway ? MostDelayWithoutStore : longer }.Min();
        if (_silentSince is null)
        {
            _silentSince = time.GetTimestamp();
            Log.Silent(logger, reason);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "The zone's resolvers lack something of what this node has announced ({Heard}), so it announces all again")]
        public static partial void Needed(ILogger logger, string heard);

        [LoggerMessage(LogLevel.Warning, "No resolver of the zone tells what it has heard of this node; it is asked until it answers: {Reason}")]
        public static partial void Silent(ILogger logger, string reason);

        [LoggerMessage(LogLevel.Information, "A resolver answers again, after {Seconds:0.0} s")]
        public static partial void Answered(ILogger logger, double seconds);
    }
}
