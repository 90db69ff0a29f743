using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Planning;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>
/// Nodes of the zone that are downloading the content now, and those that have it when they are few. The resolver says whom to follow; each time one has been
/// followed in vain it is asked again. One that is alive and holds this node up is left for one that is ahead of it (<see cref="ParentWatch"/>). Where the
/// resolver says that this node leads, the content comes from <paramref name="farther"/> holders or, if there are none, from upstream.
/// </summary>
internal sealed class FollowSource(Following following, PullPlan plan, string target, Digest digest, Tail tail, IPeerSource farther) : IPeerSource
{
    private readonly List<NodeName> _failed = [];
    private readonly ParentWatch _watch = following.Watch(target, following.Routes.FromUpstream(plan.Registry)?.Figures.BytesPerSecond);
    private readonly IReadOnlyList<NodeName> _holders =
        [.. plan.Holders.Where(holder => holder.Tier == Tier.SameZone).Select(holder => holder.Node.Name).Take(FollowRequest.MaxHolders)];

    private NodeIdentity? _parent;
    private int _depth;
    private long _received;
    private bool _hasLeftALead;
    private volatile Departure? _departure;
    private CancellationTokenSource? _watching;

    /// <inheritdoc/>
    public TimeSpan StartBudget => following.Options.FollowStartBudget;

    /// <inheritdoc/>
    public async Task<PeerAnswer?> StartAsync(PeerRequest request, CancellationToken cancellation)
    {
        EndWatch();
        try
        {
            if (await FollowAsync(request with { Follow = true }, cancellation) is { } answer)
            {
                Watch(answer);
                return answer;
            }

            return await following.StartFartherAsync(farther, request, cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public Task<bool> ExcusesAsync(Holder peer, TimeSpan silence, CancellationToken cancellation) =>
        peer.Node.Name == _parent?.Name ? following.ExcusesAsync(peer, _depth, silence, cancellation) : farther.ExcusesAsync(peer, silence, cancellation);

    /// <inheritdoc/>
    public void Received(long offset, ReadOnlySpan<byte> bytes)
    {
        tail.Append(offset, bytes);
        Volatile.Write(ref _received, offset + bytes.Length);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        EndWatch();
        following.Feeds.End(digest);
        farther.Dispose();
    }

    /// <summary>The answer of a node to follow; null when this node leads, or no resolver answers.</summary>
    private async Task<PeerAnswer?> FollowAsync(PeerRequest request, CancellationToken cancellation)
    {
        NodeName? slow = null;
        if (_departure is { } departure)
        {
            _departure = null;
            if (departure.Next is { } next)
            {
                _depth = Math.Max(1, _depth - departure.Nearer);
                if (await AskAsync(next, request, cancellation) is { } ahead)
                {
                    return ahead;
                }
            }
            else
            {
                (slow, _parent) = (_parent?.Name, null);
            }
        }

        while (true)
        {
            // A node that is still followed when another is looked for has failed.
            if (_parent is { } failed)
            {
                _failed.Add(failed.Name);
                _parent = null;
            }

            if (_failed.Count == following.MostFailed || await following.Resolver.FollowAsync(digest, _failed, _holders, slow, cancellation) is not { } answer)
            {
                return null;
            }

            slow = null;
            _depth = answer.Depth;
            if (answer.Parent is not { } named || !following.IsInZone(named))
            {
                following.Feeds.Change(digest, 0, null);
                following.Ingests.ReadAlong(digest);
                return null;
            }

            if (await AskAsync(named, request, cancellation) is { } found)
            {
                return found;
            }
        }
    }

    private Task<PeerAnswer?> AskAsync(NodeIdentity parent, PeerRequest request, CancellationToken cancellation)
    {
        _parent = parent;
        following.Feeds.Change(digest, _depth, parent);
        following.Ingests.ReadAlong(digest);
        return following.AskAsync(parent, digest, _depth, request, cancellation);
    }

    private void Watch(PeerAnswer answer)
    {
        _watching = new CancellationTokenSource();
        _ = WatchAsync(answer, _parent!, _watching.Token);
    }

    private async Task WatchAsync(PeerAnswer answer, NodeIdentity parent, CancellationToken cancellation)
    {
        Volatile.Write(ref _received, answer.Offset);
        try
        {
            var departure = await _watch.WatchAsync(parent, answer.Total, () => Volatile.Read(ref _received), cancellation);

            // The resolver is asked once: when it knows nobody better, this node stays.
            if (departure.Next is not null || !_hasLeftALead)
            {
                _hasLeftALead |= departure.Next is null;
                _departure = departure;
                answer.Leave(departure.Next is { } next ? $"{next.Name} is ahead of it" : "it leads, and is slow");
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The transfer has ended, or another node is followed.
        }
    }

    private void EndWatch()
    {
        _watching?.Cancel();
        _watching?.Dispose();
        _watching = null;
    }
}
