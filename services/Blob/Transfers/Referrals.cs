using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Transfers;

/// <summary>Asks nodes to which a holder has referred this one, since they are fetching the same from it.</summary>
internal sealed partial class Referrals(
    ResolverClient resolver, PeerClient peers, PeerHealth health, IOptions<BlobOptions> options, IOptions<NodeOptions> node, TimeProvider time, ILogger<Referrals> logger)
{
    /// <summary>This number of the nodes to which one holder refers are asked. Together they may take as long as a connection: that holder can still begin itself.</summary>
    private const int Most = 3;

    private readonly NodeName _node = node.Value.Identity.Name;

    /// <summary>The first good answer; null when none of them gives one.</summary>
    /// <param name="holder">Who has referred.</param>
    /// <param name="names">To whom. Only the resolver says where they are, and only in the holder's zone.</param>
    /// <param name="digest">The content.</param>
    /// <param name="request">What is asked for.</param>
    /// <param name="cancellation">Ends the attempts.</param>
    public async Task<PeerAnswer?> AskAsync(Holder holder, IEnumerable<NodeName> names, Digest digest, PeerRequest request, CancellationToken cancellation)
    {
        var location = holder.Node.Location;
        foreach (var name in names.Take(Most).Where(name => name != _node && health.ProblemOf(name, digest) is null))
        {
            if ((await resolver.FindAsync(new PeerClaim(location, name), cancellation))?.Node is not { } found)
            {
                continue;
            }

            using var budget = new CancellationTokenSource(options.Value.PeerConnectBudget / Most, time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, cancellation);
            try
            {
                return await peers.AskAsync(holder with { Node = found }, request with { Follow = true }, either.Token);
            }
            catch (PeerException e)
            {
                Log.Refused(logger, name, digest, e.Message);
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                Log.Refused(logger, name, digest, "no answer in time");
            }
        }

        return null;
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "Node {Node}, to which a holder refers, does not give {Digest}: {Reason}")]
        public static partial void Refused(ILogger logger, NodeName node, Digest digest, string reason);
    }
}
