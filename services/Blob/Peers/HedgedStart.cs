using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>
/// Finds the first peer that answers: the next is asked as well when one has not answered within the hedge delay, and at once when one
/// fails. One that is farther than those being asked is not asked only because they are a little slow: it waits until they may count as gone.
/// The first good answer wins; the others are cancelled.
/// </summary>
internal sealed partial class HedgedStart(
    PeerClient peers, Routes routes, PeerHealth health, IOptions<BlobOptions> options, BlobMetrics metrics, TimeProvider time, ILogger<HedgedStart> logger)
{
    /// <summary>The first good answer; null when no candidate gives one before <paramref name="cancellation"/>.</summary>
    public async Task<PeerAnswer?> StartAsync(PeerQueue candidates, PeerRequest request, CancellationToken cancellation)
    {
        using var losers = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        List<Attempt> running = [];
        try
        {
            while (!cancellation.IsCancellationRequested)
            {
                if (candidates.TryTake(out var holder))
                {
                    running.Add(new Attempt(holder, time.GetTimestamp(), peers.AskAsync(holder, request, losers.Token)));
                }
                else if (running.Count == 0)
                {
                    return null;
                }

                if (await FirstDoneAsync(running, HedgeDelay(running, candidates.Next), losers.Token) is not { } done)
                {
                    metrics.Hedged();
                    continue;
                }

                running.Remove(done);
                if (await AnswerOfAsync(done, candidates, request) is { } answer)
                {
                    return answer;
                }
            }

            return null;
        }
        finally
        {
            await losers.CancelAsync();
            foreach (var loser in running)
            {
                health.Waited(loser.Holder.Node.Name, time.GetElapsedTime(loser.Started));
                candidates.Return(loser.Holder);
                _ = AbandonAsync(loser.Answer);
            }
        }
    }

    /// <summary>How long those being asked are waited for until the next one is asked as well; null when there is no next one.</summary>
    private TimeSpan? HedgeDelay(List<Attempt> running, Holder? next) =>
        next is null ? null
        : running.TrueForAll(attempt => attempt.Holder.Tier < next.Tier) ? options.Value.PeerConnectBudget
        : options.Value.HedgeDelay;

    /// <summary>The first attempt to end, well or badly; null when the hedge delay ends before.</summary>
    private async Task<Attempt?> FirstDoneAsync(List<Attempt> running, TimeSpan? hedgeDelay, CancellationToken cancellation)
    {
        var answers = Task.WhenAny(running.Select(attempt => attempt.Answer));
        if (hedgeDelay is { } delay)
        {
            using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            var hedge = Task.Delay(delay, time, ended.Token);
            if (await Task.WhenAny(answers, hedge) == hedge && !cancellation.IsCancellationRequested)
            {
                return null;
            }

            await ended.CancelAsync();
        }

        var first = await answers;
        return running.First(attempt => attempt.Answer == first);
    }

    private async Task<PeerAnswer?> AnswerOfAsync(Attempt attempt, PeerQueue candidates, PeerRequest request)
    {
        try
        {
            var answer = await attempt.Answer;
            var waited = time.GetElapsedTime(attempt.Started);
            routes.From(attempt.Holder.Node.Location).ObserveFirstByte(waited);
            health.Answered();
            return answer;
        }
        catch (PeerDeclinedException e)
        {
            health.Answered();
            candidates.Declined(attempt.Holder, e.Referrals);
            Log.Refused(logger, attempt.Holder.Node.Name, request.Target, e.Message);
        }
        catch (PeerException e)
        {
            routes.From(attempt.Holder.Node.Location).ObserveFailure(time.GetElapsedTime(attempt.Started));
            Log.Refused(logger, attempt.Holder.Node.Name, request.Target, e.Message);
            health.Failed(attempt.Holder.Node.Name, e);
        }
        catch (OperationCanceledException)
        {
            // The budget is used up, or the client is gone: the caller's token says which.
            health.Waited(attempt.Holder.Node.Name, time.GetElapsedTime(attempt.Started));
            routes.From(attempt.Holder.Node.Location).ObserveFailure(time.GetElapsedTime(attempt.Started));
        }

        return null;
    }

    private static async Task AbandonAsync(Task<PeerAnswer> loser)
    {
        try
        {
            (await loser).Dispose();
        }
        catch (Exception e) when (e is PeerException or OperationCanceledException)
        {
            // It lost anyway.
        }
    }

    private sealed record Attempt(Holder Holder, long Started, Task<PeerAnswer> Answer);

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "Node {Node} does not give {Target}: {Reason}")]
        public static partial void Refused(ILogger logger, NodeName node, string target, string reason);
    }
}
