using SpegelDapr.Contracts;

namespace SpegelDapr.ServiceDefaults;

/// <summary>What zones mean to the workloads of one (section <c>Zones</c>). A zone's resolvers and blobs are given the same.</summary>
public sealed class ZoneOptions : IValidatedOptions
{
    /// <summary>The section's name.</summary>
    public const string Section = "Zones";

    private static readonly Dictionary<string, ZoneMode> Modes = new()
    {
        ["isolated"] = ZoneMode.Isolated,
        ["preferred"] = ZoneMode.Preferred,
        ["adaptive"] = ZoneMode.Adaptive,
    };

    private static readonly Dictionary<string, ZoneBoundary> Boundaries = new()
    {
        ["zone"] = ZoneBoundary.Zone,
        ["region"] = ZoneBoundary.Region,
    };

    private static readonly string[] FarthestTiers = [.. new[] { Tier.SameZone, Tier.SameRegion, Tier.CrossRegion }.Select(tier => tier.Name())];

    /// <summary>
    /// <c>isolated</c>: nothing crosses the <see cref="Boundary"/>. <c>preferred</c>: near holders first, farther ones as a fallback.
    /// <c>adaptive</c>: as preferred, but beyond the zone only where that is expected to be better than going upstream.
    /// </summary>
    public string Mode { get; set; } = "preferred";

    /// <summary>What mode isolated closes: <c>zone</c> or <c>region</c>.</summary>
    public string Boundary { get; set; } = "zone";

    /// <summary>In the other modes, the farthest tier to fetch from: <c>sameZone</c>, <c>sameRegion</c> or <c>crossRegion</c>.</summary>
    public string FarthestTier { get; set; } = Tier.CrossRegion.Name();

    /// <summary>What bytes cost, for mode adaptive.</summary>
    public TierPrices Prices { get; set; } = new();

    /// <summary>The mode, once the options are validated.</summary>
    public ZoneMode ParsedMode => Modes[Mode];

    /// <summary>The farthest tier that content is exchanged with, once the options are validated.</summary>
    public Tier ParsedFarthestTier => (ParsedMode, Boundaries[Boundary]) switch
    {
        (ZoneMode.Isolated, ZoneBoundary.Zone) => Tier.SameZone,
        (ZoneMode.Isolated, _) => Tier.SameRegion,
        _ => TierNames.Parse(FarthestTier)!.Value,
    };

    /// <summary>Whether a node at <paramref name="here"/> may exchange content with one at <paramref name="elsewhere"/>.</summary>
    public bool Allows(Location here, Location elsewhere) => here.TierTo(elsewhere) <= ParsedFarthestTier;

    /// <inheritdoc/>
    public IEnumerable<string> Problems()
    {
        if (!Modes.ContainsKey(Mode))
        {
            yield return $"Zones:Mode is '{Mode}': give {OneOf(Modes.Keys)}.";
        }

        if (!Boundaries.ContainsKey(Boundary))
        {
            yield return $"Zones:Boundary is '{Boundary}': give {OneOf(Boundaries.Keys)}.";
        }

        if (!FarthestTiers.Contains(FarthestTier))
        {
            yield return $"Zones:FarthestTier is '{FarthestTier}': give {OneOf(FarthestTiers)}.";
        }

        foreach (var problem in Prices.Problems())
        {
            yield return problem;
        }
    }

    private static string OneOf(IEnumerable<string> values) => string.Join(" or ", values);
}

/// <summary>How holders beyond a zone are used.</summary>
public enum ZoneMode
{
    /// <summary>Never beyond the boundary.</summary>
    Isolated,

    /// <summary>Near first, far as a fallback.</summary>
    Preferred,

    /// <summary>Far only when it is expected to beat going upstream.</summary>
    Adaptive,
}

/// <summary>What isolation encloses.</summary>
public enum ZoneBoundary
{
    /// <summary>A zone.</summary>
    Zone,

    /// <summary>A region with all its zones.</summary>
    Region,
}

/// <summary>What a GiB costs by the tier it comes from, in any currency (section <c>Zones:Prices</c>). Within the zone it is free.</summary>
public sealed class TierPrices
{
    /// <summary>Of a GiB from another zone of the region.</summary>
    public double SameRegion { get; set; }

    /// <summary>Of a GiB from another region.</summary>
    public double CrossRegion { get; set; }

    /// <summary>Of a GiB from the registry.</summary>
    public double Upstream { get; set; }

    /// <summary>What it is worth, in the same currency, to have content a second earlier.</summary>
    public double Second { get; set; } = 0.001;

    /// <summary>How many seconds the price of so many bytes is worth.</summary>
    public double InSeconds(Tier tier, long bytes)
    {
        var price = tier switch
        {
            Tier.SameRegion => SameRegion,
            Tier.CrossRegion => CrossRegion,
            Tier.Upstream => Upstream,
            _ => 0,
        };
        return price * bytes / (1L << 30) / Second;
    }

    internal IEnumerable<string> Problems()
    {
        (string Name, double Value)[] prices = [(nameof(SameRegion), SameRegion), (nameof(CrossRegion), CrossRegion), (nameof(Upstream), Upstream)];
        foreach (var (name, value) in prices.Where(price => !double.IsFinite(price.Value) || price.Value < 0))
        {
            yield return $"Zones:Prices:{name} is {value}: give the price of a GiB, 0 or more.";
        }

        if (!double.IsFinite(Second) || Second <= 0)
        {
            yield return $"Zones:Prices:Second is {Second}: give what a second is worth in the currency of the other prices, above 0.";
        }
    }
}
