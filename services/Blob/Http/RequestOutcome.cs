using System.Text.Json;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Http;

/// <summary>What became of a request for content.</summary>
internal enum RequestOutcome
{
    /// <summary>Answered from the node's own content.</summary>
    Local,

    /// <summary>Answered from another node of the zone.</summary>
    SameZone,

    /// <summary>Answered from another zone of the region.</summary>
    SameRegion,

    /// <summary>Answered from another region.</summary>
    CrossRegion,

    /// <summary>Answered to a peer, out of what this node is downloading.</summary>
    Relayed,

    /// <summary>Answered to a peer how far this node has come.</summary>
    Progress,

    /// <summary>Not answered to a peer, which is to ask another one.</summary>
    Declined,

    /// <summary>Answered to a peer that this node has it and is still checking it.</summary>
    Checking,

    /// <summary>There is no such content here.</summary>
    Miss,

    /// <summary>A miss although there are holders, since none is worth asking.</summary>
    Bypassed,

    /// <summary>Failed, or cut short.</summary>
    Broken,

    /// <summary>The client has hung up.</summary>
    Aborted,
}

/// <summary>Outcomes in metrics.</summary>
internal static class RequestOutcomes
{
    /// <summary>The outcome of an answer whose bytes come from so far.</summary>
    public static RequestOutcome Of(Tier tier) => tier switch
    {
        Tier.Local => RequestOutcome.Local,
        Tier.SameZone => RequestOutcome.SameZone,
        Tier.SameRegion => RequestOutcome.SameRegion,
        Tier.CrossRegion => RequestOutcome.CrossRegion,
        _ => throw new ArgumentOutOfRangeException(nameof(tier), tier, null),
    };

    /// <summary>How far the bytes of an answer with that outcome have come; null when there were none.</summary>
    public static Tier? TierOf(RequestOutcome outcome) => outcome switch
    {
        RequestOutcome.Local => Tier.Local,
        RequestOutcome.SameZone => Tier.SameZone,
        RequestOutcome.SameRegion => Tier.SameRegion,
        RequestOutcome.CrossRegion => Tier.CrossRegion,
        _ => null,
    };

    /// <summary>Its name in camel case.</summary>
    public static string Name(this RequestOutcome outcome) => JsonNamingPolicy.CamelCase.ConvertName(outcome.ToString());
}
