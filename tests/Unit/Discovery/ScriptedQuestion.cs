using System.Collections.Concurrent;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Hearing;

namespace SpegelDapr.Unit.Discovery;

/// <summary>A resolver that answers what it is told to.</summary>
internal sealed class ScriptedQuestion : IHearingQuestion
{
    /// <summary>The answer; null for none.</summary>
    public Heard? Answer { get; set; } = Heard.Matches;

    /// <summary>Whether a resolver says that its store is away, while there is no answer.</summary>
    public bool IsStoreAway { get; set; }

    /// <summary>Whether questions are never answered.</summary>
    public bool Hangs { get; set; }

    public ConcurrentQueue<HearingRequest> Asked { get; } = new();

    public async Task<Heard> AskAsync(HearingRequest question, CancellationToken cancellationToken)
    {
        Asked.Enqueue(question);
        if (Hangs)
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
        }

        return Answer ?? throw new NoAnswerException("down", IsStoreAway);
    }
}
