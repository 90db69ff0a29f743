namespace SpegelDapr.Blob.Resolving;

/// <summary>
/// Keeps repetitions a small part of the questions while they do not help, as gRPC's retry throttling does (grpc/proposal, A6): when all resolvers are
/// slow, asking again makes them slower. A repetition that is answered before what it repeats costs nothing.
/// </summary>
internal sealed class RepetitionBudget
{
    /// <summary>How many repetitions may be in vain at once.</summary>
    public const int Most = 10;

    private const double EarnedByQuestion = 0.1;

    private readonly Lock _lock = new();
    private double _left = Most;

    /// <summary>Notes a new question.</summary>
    public void Asked() => Add(EarnedByQuestion);

    /// <summary>Notes that a repetition was answered before what it repeats.</summary>
    public void Helped() => Add(1);

    /// <summary>Takes one repetition, if there is one left.</summary>
    public bool TryTake()
    {
        lock (_lock)
        {
            if (_left < 1)
            {
                return false;
            }

            _left--;
            return true;
        }
    }

    private void Add(double earned)
    {
        lock (_lock)
        {
            _left = Math.Min(Most, _left + earned);
        }
    }
}
