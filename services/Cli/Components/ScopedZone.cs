using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Cli.Components;

/// <summary>A zone as Dapr's scopes see it.</summary>
/// <param name="Location">Where it is.</param>
/// <param name="Heard">Those of the zones that its resolvers hear.</param>
/// <param name="IsClosed">Whether its resolvers may hear no other zone, also none that comes later.</param>
internal sealed record ScopedZone(Location Location, IReadOnlyList<Location> Heard, bool IsClosed = true)
{
    /// <summary>The app id of its discoveries, and of the blobs that share their sidecars.</summary>
    public string Discovery => DaprNames.Discovery(Location.Zone);

    /// <summary>The app id of its resolvers.</summary>
    public string Resolver => DaprNames.Resolver(Location.Zone);

    /// <summary>Zones that reach each other as the options say: what is not isolated may reach zones that nobody knows yet.</summary>
    /// <exception cref="UserErrorException">Two have the same app ids.</exception>
    public static IReadOnlyList<ScopedZone> All(IReadOnlyList<Location> locations, ZoneOptions options) =>
        locations.GroupBy(location => location.Zone).FirstOrDefault(zone => zone.Count() > 1) is { } twice
            ? throw new UserErrorException($"--zone has {twice.Key} twice, and app ids carry the zone alone: give each zone a name of its own.")
            :
            [
                .. locations.Select(location => new ScopedZone(
                    location, [.. locations.Where(other => options.Allows(location, other))], options.ParsedMode == ZoneMode.Isolated)),
            ];
}
