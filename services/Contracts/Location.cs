using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Serialization;

namespace SpegelDapr.Contracts;

/// <summary>
/// Where a node is: a region and a zone in it, written <c>region/zone</c>. Each part is 1 to 63 characters of <c>[a-z0-9-]</c>, so it is
/// accepted in every broker's topic names and every store's keys.
/// </summary>
[JsonConverter(typeof(LocationJsonConverter))]
public readonly record struct Location : IParsedText<Location>
{
    private const int LongestPart = 63;
    private static readonly SearchValues<char> PartCharacters = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789-");

    private readonly string? _region;
    private readonly string? _zone;

    private Location(string region, string zone) => (_region, _zone) = (region, zone);

    /// <inheritdoc/>
    public static string Form => "a location, region/zone, each part 1 to 63 characters of a-z, 0-9 and dash";

    /// <summary>The location of a node that nothing says anything about.</summary>
    public static Location Default { get; } = new("default", "default");

    /// <summary>The region.</summary>
    public string Region => _region ?? throw new InvalidOperationException("A default Location has no region.");

    /// <summary>The zone within the region.</summary>
    public string Zone => _zone ?? throw new InvalidOperationException("A default Location has no zone.");

    /// <summary>
    /// The location for two Kubernetes label values, which may hold upper case, dots and underscores: lower-cased, and what a part may
    /// not hold becomes a dash. A missing value becomes <c>default</c>.
    /// </summary>
    public static Location FromLabels(string? region, string? zone) => new(PartFromLabel(region), PartFromLabel(zone));

    /// <inheritdoc/>
    public static bool TryParse([NotNullWhen(true)] string? text, out Location value)
    {
        value = default;
        if (text?.Split('/') is not [var region, var zone] || !IsPart(region) || !IsPart(zone))
        {
            return false;
        }

        value = new Location(region, zone);
        return true;
    }

    /// <summary>Parses <c>region/zone</c>.</summary>
    /// <exception cref="FormatException"><paramref name="text"/> is not a location.</exception>
    public static Location Parse(string text) => ParsedText.Parse<Location>(text);

    /// <summary>Whether <paramref name="text"/> may name a region or a zone.</summary>
    public static bool IsPart([NotNullWhen(true)] string? text) =>
        text is { Length: > 0 and <= LongestPart } && !text.AsSpan().ContainsAnyExcept(PartCharacters);

    /// <summary>How far bytes come that a node elsewhere sends to a node here: same zone, same region or cross region.</summary>
    public Tier TierTo(Location elsewhere) =>
        Region != elsewhere.Region ? Tier.CrossRegion : Zone != elsewhere.Zone ? Tier.SameRegion : Tier.SameZone;

    /// <summary><c>region/zone</c>; empty for the default value.</summary>
    public override string ToString() => _region is null ? "" : $"{_region}/{_zone}";

    private static string PartFromLabel(string? label)
    {
        var part = string.Concat((label ?? "").Trim().ToLowerInvariant().Take(LongestPart).Select(c => PartCharacters.Contains(c) ? c : '-'));
        return part.Length == 0 ? "default" : part;
    }
}
