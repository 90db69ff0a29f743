using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Resolving;

/// <summary>
/// Says whether a node is alive and in reach, by which a blob tells its peers from strangers: 200 with a <see cref="NodeAnswer"/>, and 503 while
/// the store is away.
/// </summary>
internal sealed class NodeEndpoint(LeaseBook leases, Reach reach, TimeProvider time)
{
    /// <summary>Maps the method.</summary>
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapGet(NodeAnswer.Route, HandleAsync);

    private async Task HandleAsync(HttpContext context)
    {
        var route = context.Request.RouteValues;
        try
        {
            var node = PeerClaim.TryParse($"{route["region"]}/{route["zone"]}/{route["name"]}", out var claim)
                ? await FindAsync(new LeaseHolder(claim.Location, claim.Name), context.RequestAborted)
                : null;
            await context.Response.WriteAsJsonAsync(new NodeAnswer(node), ContractsJson.Default.NodeAnswer, cancellationToken: context.RequestAborted);
        }
        catch (StoreUnavailableException)
        {
            // Logged and counted where questions for keys meet it, which come all the time.
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
        }
    }

    private async Task<NodeIdentity?> FindAsync(LeaseHolder node, CancellationToken cancellation) =>
        reach.Locations.Contains(node.Location)
        && (await leases.RecallAsync([node], cancellation)).TryGetValue(node, out var lease)
        && lease.IsAlive(time.GetUtcNow())
            ? lease.Node
            : null;
}
