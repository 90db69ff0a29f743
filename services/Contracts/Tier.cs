using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpegelDapr.Contracts;

/// <summary>How far bytes came, nearest first. In JSON and metrics: <c>local</c>, <c>sameZone</c>, <c>sameRegion</c>, <c>crossRegion</c>, <c>upstream</c>.</summary>
[JsonConverter(typeof(TierJsonConverter))]
public enum Tier
{
    /// <summary>From the node's own content.</summary>
    Local,

    /// <summary>From another node of the same zone.</summary>
    SameZone,

    /// <summary>From another zone of the same region.</summary>
    SameRegion,

    /// <summary>From another region.</summary>
    CrossRegion,

    /// <summary>From the registry itself.</summary>
    Upstream,
}

/// <summary>Names of tiers as they are written in JSON, headers and metrics.</summary>
public static class TierNames
{
    /// <summary>The tier's name in camel case.</summary>
    public static string Name(this Tier tier) => tier switch
    {
        Tier.Local => "local",
        Tier.SameZone => "sameZone",
        Tier.SameRegion => "sameRegion",
        Tier.CrossRegion => "crossRegion",
        Tier.Upstream => "upstream",
        _ => throw new ArgumentOutOfRangeException(nameof(tier), tier, null),
    };

    /// <summary>The tier of that name, in camel case; null when there is none.</summary>
    public static Tier? Parse(string? name) => name is null ? null : Enum.GetValues<Tier>().Cast<Tier?>().FirstOrDefault(tier => tier!.Value.Name() == name);
}

/// <summary>Writes tiers by their names in JSON, and reads nothing else.</summary>
public sealed class TierJsonConverter() : JsonStringEnumConverter<Tier>(JsonNamingPolicy.CamelCase, allowIntegerValues: false);
