using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Planning;

/// <summary>
/// Plans a pull: which sources are tried, in which order and why, and which are passed over. To plan changes nothing, so what <c>explain</c> prints is what
/// a pull would do.
/// </summary>
internal sealed class PullPlanner(
    PeerLoads loads,
    PeerHealth health,
    UpstreamDecisions decisions,
    ManifestMemory manifests,
    FastestRate fastest,
    IOptions<ZoneOptions> zones,
    IOptions<BlobOptions> options,
    IOptions<NodeOptions> node)
{
    /// <summary>The holders of content of this size could be kept busy by the nodes that want it at once, so these follow one another.</summary>
    private const long LeastBytesThatCrowd = 4 * 1024 * 1024;

    private readonly Location _here = node.Value.Location;
    private readonly ZoneMode _mode = zones.Value.ParsedMode;
    private readonly Tier _farthest = zones.Value.ParsedFarthestTier;

    /// <summary>What a resolver is told that is asked for the holders, so that it says in the same answer whom to follow; null where nobody is to be followed.</summary>
    /// <param name="question">What is planned.</param>
    /// <param name="order">This node's place among those that fetch the content, as it was told before; null when it was not.</param>
    public Fetching? FetchingOf(PullQuestion question, long? order) =>
        MayFollow(question) ? new Fetching(IsLarge(manifests.Recall(question.Digest)?.Bytes), order, fastest.IsSlow) : null;

    /// <summary>The way of a pull, by what is known.</summary>
    public PullPlan Plan(PullQuestion question, PullKnowledge known)
    {
        var manifest = manifests.Recall(question.Digest);
        var bytes = manifest?.Bytes ?? (question.Kind == ContentKind.Manifest ? 0 : ManifestMemory.TypicalBytes);
        var registry = question.Registry ?? manifest?.Registry ?? "";
        var candidates = Judge(question.Digest, registry, bytes, known.Holders ?? []);
        return new PullPlan([.. SourcesOf(question, known, candidates, manifest?.Bytes)], candidates, bytes, manifest?.Bytes, registry);
    }

    /// <summary>Remembers what mode adaptive has decided in a plan that is carried out.</summary>
    public void CarryOut(PullPlan plan)
    {
        foreach (var (location, decision) in plan.Candidates
            .Where(candidate => candidate.Decision is not null)
            .Select(candidate => (candidate.Holder.Node.Location, candidate.Decision!))
            .DistinctBy(decided => decided.Location))
        {
            decisions.Remember(location, plan.Registry, plan.Bytes, decision);
        }
    }

    /// <summary>The holders in the order in which they are tried, the near before the far and the idle before the busy, and whether each is.</summary>
    private List<Candidate> Judge(Digest digest, string registry, long bytes, IReadOnlyList<Holder> holders)
    {
        var decided = new Dictionary<Location, UpstreamDecision>();
        var candidates = new List<Candidate>();

        // The tier is what this node says of the holder's location, not what anybody else does.
        foreach (var holder in loads.Order(holders.Select(holder => holder with { Tier = _here.TierTo(holder.Node.Location) })))
        {
            var location = holder.Node.Location;
            if (holder.Tier > _farthest)
            {
                var reason = _mode == ZoneMode.Isolated ? "it is outside the boundary" : "it is farther than the farthest tier";
                candidates.Add(new Candidate(holder, IsUsed: false, reason));
            }
            else if (health.ProblemOf(holder.Node.Name, digest) is { } problem)
            {
                candidates.Add(new Candidate(holder, IsUsed: false, problem));
            }
            else if (_mode != ZoneMode.Adaptive || holder.Tier == Tier.SameZone)
            {
                candidates.Add(new Candidate(holder, IsUsed: true, $"it is {Distance(holder.Tier)}"));
            }
            else
            {
                if (!decided.TryGetValue(location, out var decision))
                {
                    decided[location] = decision = decisions.Decide(location, holder.Tier, registry, bytes);
                }

                candidates.Add(new Candidate(holder, decision.UsePeer, decision.Reason, decision));
            }
        }

        return candidates;
    }

    private IEnumerable<PlannedSource> SourcesOf(PullQuestion question, PullKnowledge known, List<Candidate> candidates, long? bytes)
    {
        var used = candidates.Where(candidate => candidate.IsUsed).ToList();
        var near = used.Count(candidate => candidate.Holder.Tier == Tier.SameZone);
        if (MayFollow(question)
            && known is { Holders: not null, InFlight: null } or { InFlight: [_, ..] }
            && (near == 0 || IsLarge(bytes)))
        {
            var reason = known.InFlight is [var first, ..] ? $"{first} is downloading it, so this node may follow" : "the resolver may name a node that is downloading it";
            yield return new PlannedSource(SourceKind.InFlight, Tier.SameZone, reason);
        }

        foreach (var candidate in used)
        {
            var rank = candidate == used[0] ? "the holder to ask first" : "a holder to ask when those before do not give it";
            yield return new PlannedSource(SourceKind.Holder, candidate.Holder.Tier, $"{rank}: {candidate.Reason}");
        }

        yield return new PlannedSource(
            SourceKind.Upstream,
            Tier.Upstream,
            used.Count > 0 ? "when no holder gives it"
            : candidates is [var passedOver, ..] ? $"no holder is worth asking: {passedOver.Reason}"
            : health.ProblemOfAll is { } problem ? $"no node is asked: {problem}"
            : known.Holders is null ? "no resolver answers"
            : "nobody in reach holds it");
    }

    private bool MayFollow(PullQuestion question) => options.Value.Relay && question.MayFollow && health.ProblemOfAll is null;

    private static bool IsLarge(long? bytes) => bytes >= LeastBytesThatCrowd;

    private static string Distance(Tier tier) => tier switch
    {
        Tier.SameZone => "in the same zone",
        Tier.SameRegion => "in the same region",
        _ => "in another region",
    };
}
