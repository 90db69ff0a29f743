using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>
/// The node that another request for the same content follows. A containerd may fetch a layer by several requests at once, each with a part, and it may
/// continue a download before it is known here that its former request has ended. The resolver knows one parent of each node, so it is not asked while that
/// request goes on: where its parent gives nothing here, it may be about to find another. When it has ended, <paramref name="takeOver"/> follows in its place.
/// </summary>
internal sealed class JoinSource(Following following, Digest digest, IPeerSource farther, Func<IPeerSource?> takeOver) : IPeerSource
{
    /// <summary>How long is waited until the other request may have found another node.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    private IPeerSource? _own;
    private NodeName? _parent;
    private int _depth;
    private int _asked;

    /// <inheritdoc/>
    public TimeSpan StartBudget => following.Options.FollowStartBudget;

    /// <inheritdoc/>
    public async Task<PeerAnswer?> StartAsync(PeerRequest request, CancellationToken cancellation)
    {
        try
        {
            while (_own is null && _asked < following.MostFailed)
            {
                if (following.Feeds.ParentOf(digest) is var (parent, depth))
                {
                    // The one that was asked last has broken off, or gives nothing here.
                    if (parent.Name == _parent)
                    {
                        await following.PauseAsync(Interval, cancellation);
                    }

                    (_parent, _depth, _asked) = (parent.Name, depth, _asked + 1);
                    if (await following.AskAsync(parent, digest, depth, request, cancellation) is { Answer: { } found })
                    {
                        return found;
                    }
                }

                _own = takeOver();
                if (_own is null)
                {
                    if (following.Feeds.Leads(digest))
                    {
                        break;
                    }

                    await following.PauseAsync(Interval, cancellation);
                }
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return null;
        }

        _parent = null;
        return _own is null ? await following.StartFartherAsync(farther, request, cancellation) : await _own.StartAsync(request, cancellation);
    }

    /// <inheritdoc/>
    public Task<bool> ExcusesAsync(Holder peer, TimeSpan silence, CancellationToken cancellation) =>
        peer.Node.Name == _parent ? following.ExcusesAsync(peer, _depth, silence, cancellation) : (_own ?? farther).ExcusesAsync(peer, silence, cancellation);

    /// <inheritdoc/>
    public void Received(long offset, ReadOnlySpan<byte> bytes) =>

        // While another request is joined, those who follow this node are told of that one, and read the file.
        _own?.Received(offset, bytes);

    /// <inheritdoc/>
    public void Dispose() => (_own ?? farther).Dispose();
}
