using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Planning;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>
/// Nodes of the zone that are downloading the content now, and those that have it. The resolver says whom to follow, unless another request
/// has been told it (<paramref name="known"/>) or it has said so with the holders (<paramref name="told"/>); each time one has been followed in vain it is
/// asked again. One that is alive and holds this node up is left for one that is ahead of it (<see cref="ParentWatch"/>). Where the resolver says that this
/// node leads, the content comes from <paramref name="farther"/> holders or, if there are none, from upstream.
/// </summary>
internal sealed class FollowSource(
    Following following,
    PullPlan plan,
    string target,
    Digest digest,
    Tail tail,
    IPeerSource farther,
    PeerQueue candidates,
    (NodeIdentity Node, int Depth)? known,
    FollowAnswer? told) : IPeerSource
{
    /// <summary>When this number of nodes have declined, the next one must send. To ask more nodes would take longer than to share what that one sends.</summary>
    private const int MostDeclined = 3;

    private readonly List<NodeName> _failed = [];
    private readonly List<NodeName> _declined = [];
    private readonly List<NodeName> _refused = [];
    private readonly List<NodeName> _busy = [];
    private readonly ParentWatch _watch = following.Watch(
        target,
        following.Routes.FromUpstream(plan.Registry)?.Figures.BytesPerSecond,
        tellSlow: () => _ = following.Resolver.TellSlowAsync(digest, following.Name, HoldersOf(plan), following.Feeds.OrderOf(digest), CancellationToken.None));
    private readonly ChunkSums _sums = following.Ingests.SumsOf(digest);
    private readonly IReadOnlyList<NodeName> _holders = HoldersOf(plan);

    private (NodeIdentity Node, int Depth)? _known = known;
    private FollowAnswer? _told = told;
    private NodeIdentity? _parent;
    private int _depth;
    private long? _order = following.Feeds.OrderOf(digest);
    private long _received;
    private bool _isFromHolders;
    private int _asked;
    private Leaving? _leaving;
    private CancellationTokenSource? _watching;

    /// <inheritdoc/>
    public TimeSpan StartBudget => following.Options.FollowStartBudget;

    /// <inheritdoc/>
    public async Task<PeerAnswer?> StartAsync(PeerRequest request, CancellationToken cancellation)
    {
        EndWatch();
        request = request with { Refer = true };
        try
        {
            // Holders may give it in several windows, for which the resolver is not asked again.
            if (_isFromHolders && _leaving is null && await following.StartFartherAsync(farther, request, cancellation) is { } more)
            {
                WatchHolder(more);
                return more;
            }

            if (await FollowAsync(request with { Follow = true }, cancellation) is { } answer)
            {
                Watch(answer);
                return answer;
            }

            var held = await following.StartFartherAsync(farther, request, cancellation);
            _isFromHolders = held is not null;
            if (held is not null)
            {
                WatchHolder(held);
            }

            return held;
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
        _sums.Came(offset, bytes);
        tail.Append(offset, bytes);
        following.Came(bytes.Length);
        Volatile.Write(ref _received, offset + bytes.Length);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        EndWatch();
        following.Feeds.End(digest);
        farther.Dispose();
    }

    /// <summary>The answer of a node to follow; null when this node leads, is to ask the holders, or gets no answer of a resolver.</summary>
    private async Task<PeerAnswer?> FollowAsync(PeerRequest request, CancellationToken cancellation)
    {
        var told = Interlocked.Exchange(ref _told, null);
        var leaving = Interlocked.Exchange(ref _leaving, null);
        if (leaving is not null && _parent is null)
        {
            // A holder is left, which is not asked again.
            told = leaving.Told;
        }
        else if (leaving is not null && _parent is { } left && leaving.From == left.Name)
        {
            told = leaving.Told;
            if (leaving.Next is { } next)
            {
                if (await TryMoveAsync(next, leaving.Nearer, request, cancellation) is { } moved)
                {
                    // Nobody waits for the resolver to know.
                    _ = leaving.IsSlow ? following.Resolver.TellSlowAsync(digest, left.Name, _holders, _order, cancellation) : Task.CompletedTask;
                    return moved;
                }

                // It has no place: of those that follow the slow one with this node it takes only some.
                if (leaving.IsSlow && _declined.Contains(next.Name) && _asked < ParentWatch.MostAsked)
                {
                    _asked++;
                    told = await following.Resolver.FollowAsync(digest, _failed, _declined, _holders, slow: left.Name, _order, cancellation);
                }

                if ((told is null || told.Parent?.Name == left.Name) && await AskAsync(left, request, cancellation) is { } kept)
                {
                    return kept;
                }
            }

            if (leaving.IsCircle)
            {
                _declined.Add(left.Name);
            }

            _parent = told is null && !_declined.Contains(left.Name) ? left : null;
        }

        if (_known is var (node, depth))
        {
            (_known, _depth) = (null, depth);
            if (await AskAsync(node, request, cancellation) is { } joined)
            {
                return joined;
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

            told ??= _failed.Count + _declined.Count >= following.MostFailed || following.IsPaused ? null
                : await following.Resolver.FollowAsync(digest, _failed, _declined, _holders, slow: following.SelfIfSlow, _order, cancellation);
            _order = told?.Order ?? _order;
            if (told?.Parent is not { } named || !following.IsInZone(named))
            {
                Change(0, null);
                return null;
            }

            (_depth, told) = (told.Depth, null);
            if (_holders.Contains(named.Name))
            {
                // It is asked like any holder, with the others to fall back on.
                candidates.Prefer(named.Name);
                Change(_depth, named);
                return null;
            }

            // With nobody else to follow it is the turn of one that has declined, which then has to give it if it has a place at all.
            var isAgain = _declined.Contains(named.Name);
            if (isAgain)
            {
                await following.PauseAsync(PeerClient.DeclinedPause, cancellation);
            }

            if (await AskAsync(named, isAgain || _declined.Count >= MostDeclined ? request with { Refer = false } : request, cancellation) is { } found)
            {
                return found;
            }
        }
    }

    private async Task<PeerAnswer?> TryMoveAsync(NodeIdentity next, int nearer, PeerRequest request, CancellationToken cancellation)
    {
        var depth = _depth;
        _depth = Math.Max(1, depth - nearer);
        if (await AskAsync(next, request, cancellation) is { } answer)
        {
            return answer;
        }

        (_declined.Contains(next.Name) ? _busy : _refused).Add(next.Name);
        _depth = depth;
        return null;
    }

    private void Change(int depth, NodeIdentity? parent)
    {
        following.Feeds.Change(digest, depth, parent, _order);
        following.Ingests.ReadAlong(digest);
    }

    private async Task<PeerAnswer?> AskAsync(NodeIdentity parent, PeerRequest request, CancellationToken cancellation)
    {
        _parent = parent;
        Change(_depth, parent);
        var (answer, hasDeclined) = await following.AskAsync(parent, digest, _depth, request, cancellation);
        if (hasDeclined)
        {
            _declined.Remove(parent.Name);
            _declined.Add(parent.Name);
            _parent = null;
        }

        return answer;
    }

    private void Watch(PeerAnswer answer)
    {
        _watching = new CancellationTokenSource();
        _ = WatchAsync(answer, _parent!, new Known([.. _failed], [.. _declined], [.. _refused], [.. _busy], _order), _watching.Token);
        _busy.Clear();
        _declined.Clear();
    }

    /// <summary>
    /// Watches a holder that gives all the rest. Where several give windows, one that is slow gives fewer; and where farther nodes have it, they are not to be
    /// asked because a near one is slow.
    /// </summary>
    private void WatchHolder(PeerAnswer answer)
    {
        if (following.Health.HasTurnedUpstream(digest))
        {
            // Here it is again: upstream has not given it.
            following.Routes.Away(plan.Registry);
        }

        if (answer.Offset + answer.Length == answer.Total
            && plan.Holders.All(holder => holder.Tier == Tier.SameZone)
            && _asked < ParentWatch.MostAsked
            && !following.Routes.IsAway(plan.Registry))
        {
            _watching = new CancellationTokenSource();
            _ = WatchHolderAsync(answer, [.. _failed], [.. _declined], _order, _watching.Token);
        }
    }

    private async Task WatchHolderAsync(
        PeerAnswer answer, IReadOnlyList<NodeName> failed, IReadOnlyList<NodeName> declined, long? order, CancellationToken cancellation)
    {
        var holder = answer.Holder.Node.Name;
        var upstream = following.Routes.RecentUpstream(plan.Registry);
        Volatile.Write(ref _received, answer.Offset);
        try
        {
            while (_asked < ParentWatch.MostAsked)
            {
                await _watch.HolderIsSlowAsync(
                    answer.Holder.Node, upstream, following.Health.HasBeenSlow(holder), answer.Total, () => Volatile.Read(ref _received), cancellation);
                _asked++;
                var told = await following.Resolver.FollowAsync(digest, failed, declined, _holders, slow: holder, order, cancellation);
                if (told?.Parent is { } other && other.Name != holder && await _watch.IsAheadAsync(other, Volatile.Read(ref _received), cancellation))
                {
                    _leaving = new Leaving(holder, null, 0, told);
                    answer.Leave($"it is slow, and {other.Name} is fetching the same");
                    return;
                }

                if (told is { Parent: null })
                {
                    // Another holder comes before upstream.
                    var isLast = candidates.Next is null;
                    if (isLast)
                    {
                        following.Health.Slow(holder, digest);
                    }

                    _leaving = new Leaving(holder, null, 0, told);
                    answer.Leave(isLast ? "it is slow, and upstream is expected to be faster" : "it is slow, and another has it");
                    return;
                }
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The transfer has ended, or another node gives the rest.
        }
    }

    private static IReadOnlyList<NodeName> HoldersOf(PullPlan plan) =>
        [.. plan.Holders.Where(holder => holder.Tier == Tier.SameZone).Select(holder => holder.Node.Name).Take(FollowRequest.MaxHolders)];

    private async Task WatchAsync(PeerAnswer answer, NodeIdentity parent, Known known, CancellationToken cancellation)
    {
        Volatile.Write(ref _received, answer.Offset);
        try
        {
            while (true)
            {
                var departure = await _watch.WatchAsync(
                    parent, answer.Total, () => Volatile.Read(ref _received), _asked, known.Refused, known.Busy, cancellation);
                if (departure.IsCircle)
                {
                    _leaving = new Leaving(parent.Name, null, 0, null, IsCircle: true);
                    answer.Leave("it follows this node");
                    return;
                }

                if (departure.Next is { } next)
                {
                    _leaving = new Leaving(parent.Name, next, departure.Nearer, null, IsSlow: departure is { IsSlow: true, Nearer: 1 });
                    answer.Leave($"{next.Name} gets more");
                    return;
                }

                // When the resolver knows nobody better, this node stays.
                _asked++;
                if (await following.Resolver.FollowAsync(digest, known.Failed, known.Declined, _holders, slow: parent.Name, known.Order, cancellation) is { } told
                    && told.Parent?.Name != parent.Name)
                {
                    _leaving = new Leaving(parent.Name, null, 0, told);
                    answer.Leave("it is slow, and the resolver knows another");
                    return;
                }
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

    /// <summary>The nodes that have given nothing, as known when a watch began.</summary>
    private sealed record Known(
        IReadOnlyList<NodeName> Failed, IReadOnlyList<NodeName> Declined, IReadOnlyList<NodeName> Refused, IReadOnlyList<NodeName> Busy, long? Order);

    /// <summary>That a node is left although it answers.</summary>
    private sealed record Leaving(NodeName From, NodeIdentity? Next, int Nearer, FollowAnswer? Told, bool IsCircle = false, bool IsSlow = false);
}
