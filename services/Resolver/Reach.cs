using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver;

/// <summary>
/// The locations whose events a resolver hears and whose nodes it offers as holders: those that <see cref="ResolverOptions.Reach"/> names and,
/// where that has wildcards, those of the cluster's nodes that match. What is outside the boundary is never among them.
/// </summary>
public sealed class Reach
{
    private readonly Lock _lock = new();
    private readonly HashSet<string> _wildcards;
    private readonly Func<Location, bool> _isInside;
    private readonly Location[] _always;
    private readonly TaskCompletionSource _firstSeen = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile IReadOnlyList<Location> _locations;
    private volatile TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The reach by the settings, before any node has been seen.</summary>
    /// <param name="options">The settings, which have been validated.</param>
    /// <param name="isInside">Whether a location is inside the boundary; null when there is none.</param>
    public Reach(IOptions<ResolverOptions> options, Func<Location, bool>? isInside = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        var entries = options.Value.Reach;
        var named = entries.Where(entry => !ResolverOptions.IsWildcard(entry)).Select(Location.Parse);
        _wildcards = [.. entries.Where(ResolverOptions.IsWildcard)];
        _isInside = isInside ?? (_ => true);
        _always = [.. (FollowsNodes || entries.Count == 0 ? named.Prepend(options.Value.Location) : named).Where(_isInside).Distinct()];
        _locations = _always;
        if (!FollowsNodes)
        {
            _firstSeen.SetResult();
        }
    }

    /// <summary>Whether it depends on the cluster's nodes.</summary>
    public bool FollowsNodes => _wildcards.Count > 0;

    /// <summary>The locations as they are now.</summary>
    public IReadOnlyList<Location> Locations => _locations;

    /// <summary>Ends when the cluster's nodes have been seen for the first time, or at once when they do not matter.</summary>
    public Task FirstSeen => _firstSeen.Task;

    /// <summary>Ends with the next change. To miss none, take it before reading <see cref="Locations"/>.</summary>
    public Task Changed => _changed.Task;

    /// <summary>Tells the locations of all of the cluster's nodes, in place of what was told before.</summary>
    public void Seen(IEnumerable<Location> locations)
    {
        if (!FollowsNodes)
        {
            return;
        }

        lock (_lock)
        {
            var seen = locations.Where(location => IsMatch(location) && _isInside(location));
            Location[] next = [.. _always.Concat(seen.OrderBy(location => location.ToString(), StringComparer.Ordinal)).Distinct()];
            if (!next.SequenceEqual(_locations))
            {
                _locations = next;
                var changed = _changed;
                _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                changed.SetResult();
            }
        }

        _firstSeen.TrySetResult();
    }

    private bool IsMatch(Location location) => _wildcards.Contains("*") || _wildcards.Contains($"{location.Region}/*");
}
