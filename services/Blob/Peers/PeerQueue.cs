using System.Diagnostics.CodeAnalysis;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>The holders that one request may still ask, in the order given, which is that of their tiers.</summary>
internal sealed class PeerQueue(IEnumerable<Holder> holders, int mostAttempts, Func<Holder, bool> isShunned)
{
    private readonly List<Holder> _holders = [.. holders];
    private readonly List<(Holder Holder, IReadOnlyList<NodeName> Referrals)> _declined = [];
    private int _attempts;

    /// <summary>The next holder; null when none is left, or enough have been asked.</summary>
    public Holder? Next => _attempts == mostAttempts ? null : _holders.Find(holder => !isShunned(holder));

    /// <summary>Puts a holder before the others, if it has not been taken.</summary>
    public void Prefer(NodeName node)
    {
        if (_holders.Find(holder => holder.Node.Name == node) is { } preferred)
        {
            _holders.Remove(preferred);
            _holders.Insert(0, preferred);
        }
    }

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

    /// <summary>A holder that was taken is well, and does not give the content now.</summary>
    /// <param name="holder">The holder.</param>
    /// <param name="referrals">Nodes of its zone that are fetching the same from it.</param>
    public void Declined(Holder holder, IReadOnlyList<NodeName> referrals) => _declined.Add((holder, referrals));

    /// <summary>Takes those that have declined; they can be taken again.</summary>
    public IReadOnlyList<(Holder Holder, IReadOnlyList<NodeName> Referrals)> TakeDeclined()
    {
        var declined = _declined.ToArray();
        _declined.Clear();
        _attempts -= declined.Length;
        foreach (var (holder, _) in declined)
        {
            Return(holder);
        }

        return declined;
    }
}
