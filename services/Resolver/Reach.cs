using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Resolver;

/// <summary>
/// The locations whose events a resolver hears and whose nodes it offers as holders: those that <see cref="ResolverOptions.Reach"/> names and,
/// where that has wildcards, those of the cluster's nodes that match. What is outside the boundary is never among them.
/// </summary>
public sealed partial class Reach
{
    private readonly Lock _lock = new();
    private readonly HashSet<string> _wildcards;
    private readonly Func<Location, bool> _isInside;
    private readonly Location[] _always;
    private readonly TaskCompletionSource _firstSeen = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile IReadOnlyList<Location> _locations;
    private volatile TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The reach by the settings, which have been validated, before any node has been seen.</summary>
    public Reach(IOptions<ResolverOptions> options, IOptions<ZoneOptions> zones, ILogger<Reach> logger)
    {
        ArgumentNullException.ThrowIfNull(options);
        var (entries, here) = (options.Value.Reach, options.Value.Location);
        var named = entries.Where(entry => !ResolverOptions.IsWildcard(entry)).Select(Location.Parse).ToList();
        _wildcards = [.. entries.Where(ResolverOptions.IsWildcard)];
        _isInside = location => zones.Value.Allows(here, location);
        if (named.Where(location => !_isInside(location)).ToList() is { Count: > 0 } outside)
        {
            Log.Outside(logger, string.Join(", ", outside), here, zones.Value.Mode);
        }

        _always = [.. (FollowsNodes || entries.Count == 0 ? named.Prepend(here) : named).Where(_isInside).Distinct()];
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

    private static partial class Log
    {
        [LoggerMessage(
            LogLevel.Warning,
            "Resolver:Reach names {Outside}, which is left out: mode {Mode} does not let nodes at {Here} fetch from there (Zones:Boundary, Zones:FarthestTier)")]
        public static partial void Outside(ILogger logger, string outside, Location here, string mode);
    }
}
