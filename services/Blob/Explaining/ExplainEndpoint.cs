using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Content;
using SpegelDapr.Blob.Holders;
using SpegelDapr.Blob.Mirror;
using SpegelDapr.Blob.Routing;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Explaining;

/// <summary>Answers <see cref="Explanation.Path"/>: 200 with an <see cref="Explanation"/>, 400 with an OCI error for a bad key.</summary>
internal sealed class ExplainEndpoint(
    LocalContent local,
    HolderLookup holders,
    ResolverClient resolver,
    HolderChooser chooser,
    Routes routes,
    PeerLoads loads,
    IOptions<ZoneOptions> zones,
    IOptions<BlobOptions> options,
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
            var unknown = new HolderChoice([], 0, registry ?? "");
            return Explain(key, null, unknown, [], Tier.Upstream, named is null ? "no resolver answers" : "nobody in reach knows the tag");
        }

        var resolved = key.IsTag ? await holders.FindAsync(digest, cancellation) : named;
        var inFlight = (await resolver.FindInFlightAsync(digest, cancellation))?.Nodes ?? [];
        var choice = chooser.Preview(digest, kind, registry, resolved?.Holders ?? []);
        var (decision, reason) =
            local.Has(digest) ? (Tier.Local, "the node has it")
            : choice.Holders is [{ Tier: Tier.SameZone }, ..] ? First(choice)
            : options.Value.Relay && inFlight.FirstOrDefault(other => other.Node != _node.Name) is { } other ? (Tier.SameZone, $"{other.Node} is downloading it, so this node may follow")
            : choice.Holders.Count > 0 ? First(choice)
            : choice.Candidates is [var refused, ..] ? (Tier.Upstream, $"no holder is worth asking: {refused.Reason}")
            : (Tier.Upstream, resolved is null ? "no resolver answers" : "nobody in reach holds it");
        return Explain(key, digest, choice, inFlight, decision, reason);
    }

    private static (Tier Decision, string Reason) First(HolderChoice choice)
    {
        var first = choice.Candidates.First(candidate => candidate.IsUsed);
        return (first.Holder.Tier, $"the holder to ask first: {first.Reason}");
    }

    private Explanation Explain(
        ContentKey key, Digest? digest, HolderChoice choice, IReadOnlyList<InFlightNode> inFlight, Tier decision, string reason) => new(
        key,
        _node.Name,
        _node.Location,
        zones.Value.Mode,
        zones.Value.Boundary,
        decision,
        reason,
        choice.Bytes,
        [.. choice.Candidates.Select(candidate => Explain(candidate, choice.Bytes))],
        new ExplainedUpstream(
            Explain(routes.FromUpstream(choice.Registry), Tier.Upstream, choice.Bytes), choice.Registry.Length == 0 ? null : choice.Registry),
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
