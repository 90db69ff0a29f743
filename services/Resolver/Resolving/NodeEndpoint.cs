using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;

namespace SpegelDapr.Resolver.Resolving;

/// <summary>
/// Says whether a node is alive and in reach, by which a blob tells its peers from strangers: 200 with a <see cref="NodeAnswer"/>, and 503 while
/// the store is away.
/// </summary>
internal sealed class NodeEndpoint(LeaseBook leases, Reach reach, TimeProvider time)
{
    /// <summary>Maps the method.</summary>
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapGet(
        NodeAnswer.Route, context => context.AnswerAsync(FindAsync(context), ContractsJson.Default.NodeAnswer));

    private async Task<NodeAnswer> FindAsync(HttpContext context)
    {
        var route = context.Request.RouteValues;
        return PeerClaim.TryParse($"{route["region"]}/{route["zone"]}/{route["name"]}", out var claim)
            ? new NodeAnswer(await FindAsync(new LeaseHolder(claim.Location, claim.Name), context.RequestAborted))
            : new NodeAnswer();
    }

    private async Task<NodeIdentity?> FindAsync(LeaseHolder node, CancellationToken cancellation) =>
        reach.Locations.Contains(node.Location)
        && (await leases.RecallAsync([node], cancellation)).TryGetValue(node, out var lease)
        && lease.IsAlive(time.GetUtcNow())
            ? lease.Node
            : null;
}
