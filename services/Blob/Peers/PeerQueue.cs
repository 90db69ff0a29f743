using System.Diagnostics.CodeAnalysis;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>The holders that one request may still ask, in the order given, which is that of their tiers.</summary>
internal sealed class PeerQueue(IEnumerable<Holder> holders, int mostAttempts, Func<Holder, bool> isShunned)
{
    private readonly List<Holder> _holders = [.. holders];
    private int _attempts;

    /// <summary>The next holder; null when none is left, or enough have been asked.</summary>
    public Holder? Next => _attempts == mostAttempts ? null : _holders.Find(holder => !isShunned(holder));

    /// <summary>Takes the next holder; false when there is none.</summary>
    public bool TryTake([NotNullWhen(true)] out Holder? holder)
    {
        holder = Next;
        if (holder is null)
        {
            return false;
        }

        _holders.Remove(holder);
        _attempts++;
        return true;
    }

    /// <summary>Puts a holder behind the others of its tier that was taken but not waited for.</summary>
    public void Return(Holder holder)
    {
        var farther = _holders.FindIndex(other => other.Tier > holder.Tier);
        _holders.Insert(farther < 0 ? _holders.Count : farther, holder);
    }
}
