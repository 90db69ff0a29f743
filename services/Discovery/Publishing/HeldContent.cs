using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Content;

namespace SpegelDapr.Discovery.Publishing;

/// <summary>
/// What the node holds, and how that differs from what has been taken for publishing. Changes that come while nothing can be
/// published merge here: what comes and goes again in the meantime is never published, and the memory is that of the keys themselves.
/// </summary>
internal sealed class HeldContent
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ContentKey, HeldKey> _held = [];
    private readonly Dictionary<ContentKey, HeldKey> _taken = [];
    private readonly HashSet<ContentKey> _changed = [];
    private ContentSummary _takenSummary;
    private bool _isComplete;

    /// <summary>Whether the source has listed everything once. Until then it is not known what the node does not hold, and nothing is to be published.</summary>
    public bool IsComplete
    {
        get
        {
            lock (_lock)
            {
                return _isComplete;
            }
        }
    }

    /// <summary>How many digests and tags are held.</summary>
    public (int Digests, int Tags) Count
    {
        get
        {
            lock (_lock)
            {
                var tags = _held.Keys.Count(key => key.IsTag);
                return (_held.Count - tags, tags);
            }
        }
    }

    /// <summary>The summary of what has been taken.</summary>
    public ContentSummary TakenSummary
    {
        get
        {
            lock (_lock)
            {
                return _takenSummary;
            }
        }
    }

    /// <summary>Applies what the source has reported; returns whether there is something to take.</summary>
    public bool Apply(ContentChange change)
    {
        lock (_lock)
        {
            switch (change)
            {
                case ContentListed listed:
                    var now = listed.Held.ToDictionary(held => held.Key);
                    foreach (var gone in _held.Keys.Where(key => !now.ContainsKey(key)).ToList())
                    {
                        Remove(gone);
                    }

                    foreach (var held in now.Values)
                    {
                        Add(held);
                    }

                    var first = !_isComplete;
                    _isComplete = true;
                    return first || _changed.Count > 0;
                case ContentAdded added:
                    Add(new HeldKey(added.Digest));
                    break;
                case ContentRemoved removed:
                    Remove(removed.Digest);
                    break;
            }

            return _changed.Count > 0;
        }
    }

    /// <summary>Takes everything that is held.</summary>
    public IReadOnlyList<HeldKey> TakeAll()
    {
        lock (_lock)
        {
            _changed.Clear();
            _taken.Clear();
            foreach (var (key, held) in _held)
            {
                _taken.Add(key, held);
            }

            _takenSummary = ContentSummary.Of(_held.Values);
            return [.. _held.Values];
        }
    }

    /// <summary>
    /// Takes the difference to what has been taken before. A tag that has moved, or whose time alone is new, is both removed as it was and added
    /// as it is: who adds up what is added, less what is removed, has what is held.
    /// </summary>
    public (IReadOnlyList<HeldKey> Removed, IReadOnlyList<HeldKey> Added) TakeChanges()
    {
        List<HeldKey> removed = [];
        List<HeldKey> added = [];
        lock (_lock)
        {
            foreach (var key in _changed)
            {
                var (before, after) = (_taken.GetValueOrDefault(key), _held.GetValueOrDefault(key));
                if (before == after)
                {
                    continue;
                }

                if (before is not null)
                {
                    _taken.Remove(key);
                    _takenSummary -= ContentSummary.Of(before);
                    removed.Add(before);
                }

                if (after is not null)
                {
                    _taken.Add(key, after);
                    _takenSummary += ContentSummary.Of(after);
                    added.Add(after);
                }
            }

            _changed.Clear();
        }

        return (removed, added);
    }

    private void Add(HeldKey held)
    {
        if (_held.GetValueOrDefault(held.Key) != held)
        {
            _held[held.Key] = held;
            _changed.Add(held.Key);
        }
    }

    private void Remove(ContentKey key)
    {
        if (_held.Remove(key))
        {
            _changed.Add(key);
        }
    }
}
