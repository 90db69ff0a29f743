using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver.InFlight;

/// <summary>Says who is in flight with some content: 200 with an <see cref="InFlightAnswer"/>, 404 for what is no content, and 503 while the store is away.</summary>
internal sealed class InFlightEndpoint(InFlightBook inFlight)
{
    /// <summary>Maps the method.</summary>
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapGet(
        InFlightAnswer.Route, context => context.AnswerAsync(FindAsync(context), ContractsJson.Default.InFlightAnswer));

    private Task<InFlightAnswer>? FindAsync(HttpContext context)
    {
        var route = context.Request.RouteValues;
        return Location.TryParse($"{route["region"]}/{route["zone"]}", out var location) && Digest.TryParse($"{route["digest"]}", out var digest)
            ? FindAsync(location, digest, context.RequestAborted)
            : null;
    }

    private async Task<InFlightAnswer> FindAsync(Location location, Digest digest, CancellationToken cancellation) =>
        new(digest, await inFlight.FindAsync(location, digest, cancellation));
}
