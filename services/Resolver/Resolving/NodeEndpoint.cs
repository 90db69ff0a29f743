using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;

namespace SpegelDapr.Resolver.Resolving;

/// <summary>
/// Says whether a node is alive and in reach, by which a blob tells its peers from strangers: 200 with a <see cref="NodeAnswer"/>, 404
/// for what is no node, and 503 while the store is away.
/// </summary>
internal sealed class NodeEndpoint(LeaseBook leases, Reach reach, TimeProvider time)
{
    /// <summary>Maps the method.</summary>
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapGet(
        NodeAnswer.Route, context => context.AnswerAsync(FindAsync(context), ContractsJson.Default.NodeAnswer));

    private Task<NodeAnswer>? FindAsync(HttpContext context)
    {
        var route = context.Request.RouteValues;
        return PeerClaim.TryParse($"{route["region"]}/{route["zone"]}/{route["name"]}", out var claim) ? FindAsync(claim, context.RequestAborted) : null;
    }

    private async Task<NodeAnswer> FindAsync(PeerClaim claim, CancellationToken cancellation)
    {
        var node = new LeaseHolder(claim.Location, claim.Name);
        var lease = reach.Locations.Contains(node.Location) ? (await leases.RecallAsync([node], cancellation)).GetValueOrDefault(node) : null;
        return new NodeAnswer(claim, lease?.IsAlive(time.GetUtcNow()) == true ? lease.Node : null);
    }
}
