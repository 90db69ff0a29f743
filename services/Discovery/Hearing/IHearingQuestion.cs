using SpegelDapr.Contracts;

namespace SpegelDapr.Discovery.Hearing;

/// <summary>Who is asked what has been heard of this node.</summary>
internal interface IHearingQuestion
{
    /// <summary>Asks once.</summary>
    /// <exception cref="NoAnswerException">There is no answer.</exception>
    Task<Heard> AskAsync(HearingRequest question, CancellationToken cancellationToken);
}

/// <summary>A question has no answer.</summary>
/// <param name="message">Why.</param>
/// <param name="isStoreAway">Whether a resolver has said that its store is away, so that the store may be another when it comes back.</param>
/// <param name="innerException">What is behind it.</param>
internal sealed class NoAnswerException(string message, bool isStoreAway = false, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>Whether a resolver has said that its store is away.</summary>
    public bool IsStoreAway { get; } = isStoreAway;
}
