using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Resolving;

/// <summary>
/// Answers <see cref="NodeLookup"/>, by which a blob tells its peers from strangers: 200 with the node's identity while it is alive and in
/// reach, else 404, and 503 while the store is away.
/// </summary>
internal sealed class NodeLookupEndpoint(LeaseBook leases, IOptions<ResolverOptions> options, TimeProvider time)
{
    /// <summary>Maps the method.</summary>
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapGet(NodeLookup.Route, HandleAsync);

    private async Task HandleAsync(HttpContext context)
    {
        var route = context.Request.RouteValues;
        if (!PeerClaim.TryParse($"{route["region"]}/{route["zone"]}/{route["name"]}", out var node) || !options.Value.Locations.Contains(node.Location))
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        try
        {
            var holder = new LeaseHolder(node.Location, node.Name);
            var known = await leases.RecallAsync([holder], context.RequestAborted);
            if (known.TryGetValue(holder, out var lease) && lease.IsAlive(time.GetUtcNow()))
            {
                await context.Response.WriteAsJsonAsync(lease.Node, ContractsJson.Default.NodeIdentity, cancellationToken: context.RequestAborted);
            }
            else
            {
                context.Response.StatusCode = StatusCodes.Status404NotFound;
            }
        }
        catch (StoreUnavailableException)
        {
            // Logged and counted where questions for keys meet it, which come all the time.
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
        }
    }
}
