using SpegelDapr.Contracts;

namespace SpegelDapr.Discovery.Hearing;

/// <summary>
/// Decides by the resolvers' answers whether a snapshot is needed. It is cautious where an answer may only be early: a snapshot costs as much as all that
/// the node has ever said, and it queues behind what has not been heard yet.
/// </summary>
internal sealed class SnapshotNeed(TimeProvider time)
{
    /// <summary>After what time to ask again what was on its way. Resolvers wait a bit less for an event that a heartbeat has overtaken.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    /// <summary>The least time between two snapshots. It doubles with each that has not helped.</summary>
    private static readonly TimeSpan LeastPause = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan MostPause = TimeSpan.FromMinutes(5);

    private TimeSpan _pause = LeastPause;
    private long? _lastSnapshot;
    private bool _wasHeard;

    /// <summary>Takes an answer.</summary>
    /// <param name="heard">The answer.</param>
    /// <param name="isFirst">Whether it is the first to the last heartbeat.</param>
    /// <returns>Whether a snapshot is needed, and after what time to ask again although no heartbeat follows; null when there is no need to.</returns>
    public (bool IsNeeded, TimeSpan? AskAgain) Take(Heard heard, bool isFirst)
    {
        _wasHeard |= heard != Heard.Unknown;
        switch (heard)
        {
            case Heard.Matches:
                _pause = LeastPause;
                return (false, null);

            case Heard.Differs:

            // What was known and is known no more has been lost. What never was is perhaps still on its way.
            case Heard.Unknown when _wasHeard:
                return (TryTake(heard), null);

            default:
                return (false, isFirst ? Grace : null);
        }
    }

    private bool TryTake(Heard heard)
    {
        var now = time.GetTimestamp();
        if (_lastSnapshot is { } last && time.GetElapsedTime(last, now) < _pause)
        {
            return false;
        }

        _pause = 2 * _pause < MostPause ? 2 * _pause : MostPause;
        (_lastSnapshot, _wasHeard) = (now, heard != Heard.Unknown);
        return true;
    }
}
