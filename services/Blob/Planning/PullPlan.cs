using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Planning;

/// <summary>What a pull is planned for.</summary>
/// <param name="Digest">The content.</param>
/// <param name="Kind">The endpoint that is asked for it.</param>
/// <param name="Registry">The registry that containerd goes to otherwise; null when it is not said.</param>
/// <param name="MayFollow">Whether it may come from nodes that are still downloading it: this node's containerd is about to download it too.</param>
internal sealed record PullQuestion(Digest Digest, ContentKind Kind, string? Registry, bool MayFollow);

/// <summary>What is known of the content when a pull is planned.</summary>
/// <param name="Holders">The nodes that have it whole; null when no resolver answers.</param>
/// <param name="InFlight">The other nodes of the zone that are downloading it; null when that has not been asked, and is found out on the way.</param>
internal sealed record PullKnowledge(IReadOnlyList<Holder>? Holders, IReadOnlyList<NodeName>? InFlight);

/// <summary>The way of a pull of what the node has not got itself, which the mirror goes and <c>explain</c> prints.</summary>
/// <param name="Sources">Where the content is looked for, in this order; upstream is the last.</param>
/// <param name="Candidates">All holders, in the order in which they would be asked, and whether each is.</param>
/// <param name="Bytes">The content's size, or what is assumed of it.</param>
/// <param name="KnownBytes">Its size as a manifest says; null when none has.</param>
/// <param name="Registry">The registry that containerd goes to otherwise; empty when unknown.</param>
internal sealed record PullPlan(IReadOnlyList<PlannedSource> Sources, IReadOnlyList<Candidate> Candidates, long Bytes, long? KnownBytes, string Registry)
{
    /// <summary>The holders to ask.</summary>
    public IReadOnlyList<Holder> Holders { get; } = [.. Candidates.Where(candidate => candidate.IsUsed).Select(candidate => candidate.Holder)];

    /// <summary>Whether nodes that are still downloading the content come before the holders.</summary>
    public bool Follows => Sources.Any(source => source.Kind == SourceKind.InFlight);

    /// <summary>Whether any other node is to be asked.</summary>
    public bool HasPeers => Follows || Holders.Count > 0;
}

/// <summary>Where content may come from.</summary>
internal enum SourceKind
{
    /// <summary>Nodes of the zone that are still downloading it.</summary>
    InFlight,

    /// <summary>A node that has it whole.</summary>
    Holder,

    /// <summary>The registry.</summary>
    Upstream,
}

/// <summary>A source of a plan.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Tier">How far it is.</param>
/// <param name="Reason">Why it has this place, for people.</param>
internal sealed record PlannedSource(SourceKind Kind, Tier Tier, string Reason);

/// <summary>A holder, and whether it is asked.</summary>
/// <param name="Holder">The holder.</param>
/// <param name="IsUsed">Whether it is asked.</param>
/// <param name="Reason">Why, for people.</param>
/// <param name="Decision">What mode adaptive has decided of its location; null where it has not.</param>
internal sealed record Candidate(Holder Holder, bool IsUsed, string Reason, UpstreamDecision? Decision = null);
