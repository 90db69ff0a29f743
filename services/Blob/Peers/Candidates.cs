using System.Diagnostics.CodeAnalysis;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>The holders that one request may still ask, in the order of the resolver's answer.</summary>
internal sealed class Candidates(IEnumerable<Holder> holders, int mostAttempts, Func<Holder, bool> isShunned)
{
    private readonly Queue<Holder> _holders = new(holders);
    private int _attempts;

    /// <summary>Whether none is left, or enough have been asked.</summary>
    public bool IsEmpty => _holders.Count == 0 || _attempts == mostAttempts;

    /// <summary>Takes the next holder; false when there is none.</summary>
    public bool TryTake([NotNullWhen(true)] out Holder? holder)
    {
        while (!IsEmpty && _holders.TryDequeue(out holder))
        {
            if (!isShunned(holder))
            {
                _attempts++;
                return true;
            }
        }

        holder = null;
        return false;
    }

    /// <summary>Puts a holder behind the others that was taken but not waited for.</summary>
    public void Return(Holder holder) => _holders.Enqueue(holder);
}
