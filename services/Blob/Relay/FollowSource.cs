using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Relay;

/// <summary>
/// Nodes of the zone that are downloading the content now. The resolver says whom to follow; each time one has been followed in vain it is asked
/// again. Where it says that this node leads, the content comes from <paramref name="farther"/> holders or, if there are none, from upstream.
/// </summary>
internal sealed partial class FollowSource(Following following, Digest digest, Tail tail, IPeerSource farther) : IPeerSource
{
    private readonly List<NodeName> _failed = [];
    private NodeName? _parent;

    /// <inheritdoc/>
    public TimeSpan StartBudget => following.Options.FollowStartBudget;

    /// <inheritdoc/>
    public async Task<PeerAnswer?> StartAsync(PeerRequest request, CancellationToken cancellation)
    {
        try
        {
            return await FollowAsync(request with { Follow = true }, cancellation) ?? await StartFartherAsync(request, cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public void Received(long offset, ReadOnlySpan<byte> bytes) => tail.Append(offset, bytes);

    /// <inheritdoc/>
    public void Dispose()
    {
        following.Feeds.End(digest);
        farther.Dispose();
    }

    /// <summary>Holders have the content already: they are not waited for as long as those are that still download it.</summary>
    private async Task<PeerAnswer?> StartFartherAsync(PeerRequest request, CancellationToken cancellation)
    {
        using var budget = new CancellationTokenSource(farther.StartBudget, following.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, cancellation);
        return await farther.StartAsync(request, either.Token);
    }

    /// <summary>The answer of a node to follow; null when this node leads, or no resolver answers.</summary>
    private async Task<PeerAnswer?> FollowAsync(PeerRequest request, CancellationToken cancellation)
    {
        while (true)
        {
            // Whoever is still followed when another is looked for has failed.
            if (_parent is { } parent)
            {
                _failed.Add(parent);
                _parent = null;
            }

            if (_failed.Count == following.MostFailed || await following.Resolver.FollowAsync(digest, _failed, cancellation) is not { } answer)
            {
                return null;
            }

            following.Feeds.Change(digest, answer.Depth);
            following.Ingests.ReadAlong(digest);
            if (answer.Parent is not { } next || !following.IsInZone(next))
            {
                return null;
            }

            _parent = next.Name;
            if (!following.Shunned.Contains(next.Name, digest) && await AskAsync(next, request, cancellation) is { } found)
            {
                found.Patience = following.Feeds.Patience(answer.Depth);
                return found;
            }
        }
    }

    private async Task<PeerAnswer?> AskAsync(NodeIdentity node, PeerRequest request, CancellationToken cancellation)
    {
        // To connect, and to wait for the download to appear there: each has the same budget.
        using var budget = new CancellationTokenSource(2 * following.Options.PeerConnectBudget, following.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, cancellation);
        try
        {
            return await following.Peers.AskAsync(new Holder(node, Tier.SameZone), request, either.Token);
        }
        catch (PeerException e)
        {
            Log.Refused(following.Logger, node.Name, digest, e.Message);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            Log.Refused(following.Logger, node.Name, digest, "no answer in time");
        }

        return null;
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "Node {Node} cannot be followed for {Digest}: {Reason}")]
        public static partial void Refused(ILogger logger, NodeName node, Digest digest, string reason);
    }
}
