using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Routing;

/// <summary>Chooses, by the mode, which of the holders that the resolver names are asked, and in which order.</summary>
internal sealed class HolderChooser(
    PeerLoads loads, UpstreamDecisions decisions, ManifestMemory manifests, Shunned shunned, IOptions<ZoneOptions> zones, IOptions<NodeOptions> node)
{
    private readonly Location _here = node.Value.Location;
    private readonly ZoneMode _mode = zones.Value.ParsedMode;
    private readonly Tier _farthest = zones.Value.ParsedFarthestTier;

    /// <summary>The choice for a request, which estimates are kept of.</summary>
    public HolderChoice Choose(Digest digest, ContentKind kind, string? registry, IReadOnlyList<Holder> holders) =>
        Choose(digest, kind, registry, holders, decisions.Decide);

    /// <summary>The choice as it would be now, without any effect.</summary>
    public HolderChoice Preview(Digest digest, ContentKind kind, string? registry, IReadOnlyList<Holder> holders) =>
        Choose(digest, kind, registry, holders, decisions.Preview);

    private HolderChoice Choose(
        Digest digest,
        ContentKind kind,
        string? registry,
        IReadOnlyList<Holder> holders,
        Func<Location, Tier, string, long, UpstreamDecision> decide)
    {
        var known = manifests.Recall(digest);
        var bytes = known?.Bytes ?? (kind == ContentKind.Manifest ? 0 : ManifestMemory.TypicalBytes);
        var source = registry ?? known?.Registry ?? "";
        var decided = new Dictionary<Location, UpstreamDecision>();
        var candidates = new List<Candidate>();
        foreach (var holder in loads.Order(holders.Select(Placed)))
        {
            var location = holder.Node.Location;
            if (holder.Tier > _farthest)
            {
                var reason = _mode == ZoneMode.Isolated ? "it is outside the boundary" : "it is farther than the farthest tier";
                candidates.Add(new Candidate(holder, IsUsed: false, reason));
            }
            else if (shunned.Contains(holder.Node.Name, digest))
            {
                candidates.Add(new Candidate(holder, IsUsed: false, "it has sent corrupt bytes of this content"));
            }
            else if (_mode != ZoneMode.Adaptive || holder.Tier == Tier.SameZone)
            {
                candidates.Add(new Candidate(holder, IsUsed: true, $"it is {Distance(holder.Tier)}"));
            }
            else
            {
                if (!decided.TryGetValue(location, out var decision))
                {
                    decided[location] = decision = decide(location, holder.Tier, source, bytes);
                }

                candidates.Add(new Candidate(holder, decision.UsePeer, decision.Reason));
            }
        }

        return new HolderChoice(candidates, bytes, source);
    }

    /// <summary>The tier is what this node says of the holder's location, not what anybody else does.</summary>
    private Holder Placed(Holder holder) => holder with { Tier = _here.TierTo(holder.Node.Location) };

    private static string Distance(Tier tier) => tier switch
    {
        Tier.SameZone => "in the same zone",
        Tier.SameRegion => "in the same region",
        _ => "in another region",
    };
}

/// <summary>Whom to ask for some content.</summary>
/// <param name="Candidates">All holders, in the order in which they are tried, and what became of each.</param>
/// <param name="Bytes">The content's size, or what is assumed of it.</param>
/// <param name="Registry">The registry that containerd goes to otherwise; empty when unknown.</param>
internal sealed record HolderChoice(IReadOnlyList<Candidate> Candidates, long Bytes, string Registry)
{
    /// <summary>The holders to ask.</summary>
    public IReadOnlyList<Holder> Holders { get; } = [.. Candidates.Where(candidate => candidate.IsUsed).Select(candidate => candidate.Holder)];
}

/// <summary>A holder, and whether it is asked.</summary>
/// <param name="Holder">The holder.</param>
/// <param name="IsUsed">Whether it is asked.</param>
/// <param name="Reason">Why, for people.</param>
internal sealed record Candidate(Holder Holder, bool IsUsed, string Reason);
