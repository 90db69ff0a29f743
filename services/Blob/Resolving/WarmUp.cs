using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Resolving;

/// <summary>
/// Asks the resolver a first question when blob starts, so that the first pull finds the way to it, by two sidecars, already there: its budget is too short
/// for connections to be made. Ends with the first answer.
/// </summary>
internal sealed class WarmUp(ResolverClient resolver, IOptions<NodeOptions> node, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan FirstDelay = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(30);

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var self = new PeerClaim(node.Value.Identity.Location, node.Value.Identity.Name);
        for (var delay = FirstDelay; await resolver.FindAsync(self, stoppingToken) is null; delay = delay * 2 < LongestDelay ? delay * 2 : LongestDelay)
        {
            await Task.Delay(delay, time, stoppingToken);
        }
    }
}
