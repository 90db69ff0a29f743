using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Resolver;

/// <summary>Settings of the resolver (section <c>Resolver</c>).</summary>
public sealed class ResolverOptions : IValidatedOptions
{
    /// <summary>The section's name.</summary>
    public const string Section = "Resolver";

    /// <summary>The region of the nodes that this resolver serves.</summary>
    public string Region { get; set; } = Location.Default.Region;

    /// <summary>Their zone within the region.</summary>
    public string Zone { get; set; } = Location.Default.Zone;

    /// <summary>
    /// The locations, <c>region/zone</c>, whose nodes are offered as holders. Without any it is the resolver's own: strict isolation. An entry
    /// <c>*</c> stands for the locations of all of the cluster's nodes, <c>region/*</c> for those of one region, and the resolver's own with them.
    /// </summary>
    public IList<string> Reach { get; } = [];

    /// <summary>How long a node counts as alive after its last heartbeat. Heartbeats come every 10 seconds.</summary>
    public TimeSpan LeaseDuration { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How long leases and holders are remembered, so how old an answer may be.</summary>
    public TimeSpan CacheDuration { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>The most holders that are kept of one key in one zone.</summary>
    public int MaxHoldersPerKey { get; set; } = 64;

    /// <summary>
    /// The most nodes that are told to follow the same one while it fetches some content; twice as many when more than 32 nodes fetch it.
    /// </summary>
    public int MaxFollowers { get; set; } = 1;

    /// <summary>The resolver's own location.</summary>
    public Location Location => Location.Parse($"{Region}/{Zone}");

    /// <inheritdoc/>
    public IEnumerable<string> Problems()
    {
        if (!Location.IsPart(Region))
        {
            yield return $"Resolver:Region is '{Region}': give 1 to 63 characters of a-z, 0-9 and dash.";
        }

        if (!Location.IsPart(Zone))
        {
            yield return $"Resolver:Zone is '{Zone}': give 1 to 63 characters of a-z, 0-9 and dash.";
        }

        foreach (var text in Reach.Where(text => !IsWildcard(text) && !Location.TryParse(text, out _)))
        {
            yield return $"Resolver:Reach holds '{text}': give {Location.Form}, or * or region/* for the locations of the cluster's nodes.";
        }

        if (LeaseDuration < TimeSpan.FromSeconds(1) || LeaseDuration > TimeSpan.FromHours(1))
        {
            yield return $"Resolver:LeaseDuration is {LeaseDuration}: give a time from 00:00:01 to 01:00:00, at least twice the time between heartbeats.";
        }

        if (CacheDuration <= TimeSpan.Zero || CacheDuration > TimeSpan.FromMinutes(1))
        {
            yield return $"Resolver:CacheDuration is {CacheDuration}: give a time above 0 and at most 00:01:00.";
        }

        if (MaxHoldersPerKey is < 1 or > 1000)
        {
            yield return $"Resolver:MaxHoldersPerKey is {MaxHoldersPerKey}: give a number from 1 to 1000.";
        }

        if (MaxFollowers is < 1 or > 100)
        {
            yield return $"Resolver:MaxFollowers is {MaxFollowers}: give a number from 1 to 100.";
        }
    }
    internal static bool IsWildcard(string entry) =>
        entry == "*" || (entry.EndsWith("/*", StringComparison.Ordinal) && Location.IsPart(entry[..^"/*".Length]));
}
