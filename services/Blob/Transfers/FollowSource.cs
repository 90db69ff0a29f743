using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>
/// Nodes of the zone that are downloading the content now. The resolver says whom to follow; each time one has been followed in vain it is asked
/// again. Where it says that this node leads, the content comes from <paramref name="farther"/> holders or, if there are none, from upstream.
/// </summary>
internal sealed class FollowSource(Following following, Digest digest, Tail tail, IPeerSource farther) : IPeerSource
{
    private readonly List<NodeName> _failed = [];
    private NodeName? _parent;
    private int _depth;

    /// <inheritdoc/>
    public TimeSpan StartBudget => following.Options.FollowStartBudget;

    /// <inheritdoc/>
    public async Task<PeerAnswer?> StartAsync(PeerRequest request, CancellationToken cancellation)
    {
        try
        {
            return await FollowAsync(request with { Follow = true }, cancellation) ?? await following.StartFartherAsync(farther, request, cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public Task<bool> ExcusesAsync(Holder peer, TimeSpan silence, CancellationToken cancellation) =>
        peer.Node.Name == _parent ? following.ExcusesAsync(peer, _depth, silence, cancellation) : farther.ExcusesAsync(peer, silence, cancellation);

    /// <inheritdoc/>
    public void Received(long offset, ReadOnlySpan<byte> bytes) => tail.Append(offset, bytes);

    /// <inheritdoc/>
    public void Dispose()
    {
        following.Feeds.End(digest);
        farther.Dispose();
    }

    /// <summary>The answer of a node to follow; null when this node leads, or no resolver answers.</summary>
    private async Task<PeerAnswer?> FollowAsync(PeerRequest request, CancellationToken cancellation)
    {
        while (true)
        {
            // Whoever is still followed when another is looked for has failed.
            if (_parent is { } failed)
            {
                _failed.Add(failed);
                _parent = null;
            }

            if (_failed.Count == following.MostFailed || await following.Resolver.FollowAsync(digest, _failed, cancellation) is not { } answer)
            {
                return null;
            }

            var parent = answer.Parent is { } named && following.IsInZone(named) ? named : null;
            _depth = answer.Depth;
            following.Feeds.Change(digest, _depth, parent);
            following.Ingests.ReadAlong(digest);
            if (parent is null)
            {
                return null;
            }

            _parent = parent.Name;
            if (await following.AskAsync(parent, digest, _depth, request, cancellation) is { } found)
            {
                return found;
            }
        }
    }
}
