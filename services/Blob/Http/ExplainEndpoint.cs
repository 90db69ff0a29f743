using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Planning;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Http;

/// <summary>Answers <see cref="Explanation.Path"/>: 200 with an <see cref="Explanation"/>, 400 with an OCI error for a bad key.</summary>
internal sealed class ExplainEndpoint(
    LocalContent local,
    HolderLookup holders,
    ResolverClient resolver,
    PullPlanner planner,
    Routes routes,
    PeerLoads loads,
    IOptions<ZoneOptions> zones,
    IOptions<NodeOptions> node)
{
    private readonly NodeIdentity _node = node.Value.Identity;

    /// <summary>Answers one request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        var query = context.Request.Query;
        if (!ContentKey.TryParse(query["key"], out var key))
        {
            await OciError.InvalidKey.WriteAsync(context.Response);
            return;
        }

        string? ns = query["ns"];
        if (ns is not null && !ImageReference.IsRegistry(ns))
        {
            await OciError.InvalidRegistry.WriteAsync(context.Response);
            return;
        }

        await context.Response.WriteAsJsonAsync(
            await ExplainAsync(key, ns, context.RequestAborted), ContractsJson.Default.Explanation, cancellationToken: context.RequestAborted);
    }

    private async Task<Explanation> ExplainAsync(ContentKey key, string? ns, CancellationToken cancellation)
    {
        var kind = key.IsTag ? ContentKind.Manifest : ContentKind.Blob;
        var registry = key.IsTag ? ImageReference.Parse(key.ToString()).Registry : ns;
        var named = await holders.FindAsync(key, cancellation);
        if ((key.Digest ?? named?.Digest) is not { } digest)
        {
            var reason = named is null ? "no resolver answers" : "nobody in reach knows the tag";
            return Explain(key, null, isLocal: false, new PullPlan([new PlannedSource(SourceKind.Upstream, Tier.Upstream, reason)], [], 0, null, registry ?? ""), []);
        }

        var resolved = key.IsTag ? await holders.FindAsync(digest, cancellation) : named;
        var inFlight = (await resolver.FindInFlightAsync(digest, cancellation))?.Nodes ?? [];
        var complete = (resolved?.Holders ?? []).Select(holder => holder.Node.Name).Append(_node.Name);
        var others = inFlight.Where(other => !other.IsComplete).Select(other => other.Node).Except(complete).ToList();
        var plan = planner.Plan(new PullQuestion(digest, kind, registry, MayFollow: true), new PullKnowledge(resolved?.Holders, others));

        // As a pull does: a copy that does not match is none.
        using var file = await local.OpenAsync(digest, cancellation);
        return Explain(key, digest, isLocal: file is not null, plan, inFlight);
    }

    private Explanation Explain(ContentKey key, Digest? digest, bool isLocal, PullPlan plan, IReadOnlyList<InFlightNode> inFlight) => new(
        key,
        _node.Name,
        _node.Location,
        zones.Value.Mode,
        zones.Value.Boundary,
        isLocal ? Tier.Local : plan.Sources[0].Tier,
        isLocal ? "the node has it" : plan.Sources[0].Reason,
        plan.Bytes,
        [.. plan.Candidates.Select(candidate => Explain(candidate, plan.Bytes))],
        new ExplainedUpstream(Explain(routes.FromUpstream(plan.Registry), Tier.Upstream, plan.Bytes), plan.Registry.Length == 0 ? null : plan.Registry),
        inFlight,
        digest);

    private ExplainedCandidate Explain(Candidate candidate, long bytes)
    {
        var (holder, load) = (candidate.Holder, loads.Of(candidate.Holder.Node.Name));
        return new ExplainedCandidate(
            holder.Node.Name,
            holder.Node.Location,
            holder.Node.Address,
            holder.Tier,
            candidate.IsUsed,
            candidate.Reason,
            load.Outstanding,
            Explain(routes.From(holder.Node.Location), holder.Tier, bytes),
            load.BytesPerSecond);
    }

    private ExplainedRoute Explain(TransferEstimate? route, Tier tier, long bytes)
    {
        var figures = route?.Figures;
        return new ExplainedRoute(
            figures?.Samples ?? 0, zones.Value.Prices.InSeconds(tier, bytes), figures?.Expect(bytes), figures?.FirstByteSeconds, figures?.BytesPerSecond);
    }
}
