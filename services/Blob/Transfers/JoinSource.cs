using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>
/// The node that another request for the same content follows. A containerd may fetch a layer by several requests at once, each with a part, and it may
/// continue a download before it is known here that its former request has ended. The resolver has been asked already, and knows of one parent.
/// </summary>
internal sealed class JoinSource(Following following, Digest digest, IPeerSource farther) : IPeerSource
{
    private readonly HashSet<NodeName> _asked = [];
    private NodeName? _parent;
    private int _depth;

    /// <inheritdoc/>
    public TimeSpan StartBudget => following.Options.FollowStartBudget;

    /// <inheritdoc/>
    public async Task<PeerAnswer?> StartAsync(PeerRequest request, CancellationToken cancellation)
    {
        try
        {
            while (following.Feeds.ParentOf(digest) is var (parent, depth) && _asked.Add(parent.Name))
            {
                (_parent, _depth) = (parent.Name, depth);
                if (await following.AskAsync(parent, digest, depth, request, cancellation) is { Answer: { } found })
                {
                    return found;
                }
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return null;
        }

        _parent = null;
        return await following.StartFartherAsync(farther, request, cancellation);
    }

    /// <inheritdoc/>
    public Task<bool> ExcusesAsync(Holder peer, TimeSpan silence, CancellationToken cancellation) =>
        peer.Node.Name == _parent ? following.ExcusesAsync(peer, _depth, silence, cancellation) : farther.ExcusesAsync(peer, silence, cancellation);

    /// <inheritdoc/>
    public void Received(long offset, ReadOnlySpan<byte> bytes)
    {
        // Those who follow this node are told of the request that this one has joined, and read the file.
    }

    /// <inheritdoc/>
    public void Dispose() => farther.Dispose();
}
