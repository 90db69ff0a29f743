using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>
/// Which peers are not asked for now. One that sent corrupt content is not asked for that content for an hour, and for two minutes while another may have made it
/// so. One that took a connection and then said nothing is asked for nothing for half a minute: an image has many layers, and each would wait for it anew
/// until the budget ends. When several nodes in a row say nothing, none is asked for a while: then this node is cut off, or the others are. One that gave some
/// content far more slowly than upstream would is not asked for that for the moment in which containerd turns to upstream.
/// </summary>
internal sealed class PeerHealth(IOptions<BlobOptions> options, BlobMetrics metrics, TimeProvider time) : IDisposable
{
    private const int MostRemembered = 10_000;

    /// <summary>This number of nodes in a row that say nothing.</summary>
    private const int Several = 3;

    private static readonly TimeSpan ShunnedFor = TimeSpan.FromHours(1);
    private static readonly TimeSpan SuspectedFor = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan SilentFor = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan SlowFor = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan SlowRemembered = TimeSpan.FromMinutes(10);

    /// <summary>After a pause one silent node is enough for the next, which is twice as long.</summary>
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(5);

    private readonly MemoryCache _shunned = new(new MemoryCacheOptions { SizeLimit = MostRemembered });
    private readonly MemoryCache _slow = new(new MemoryCacheOptions { SizeLimit = MostRemembered });
    private readonly MemoryCache _silent = new(new MemoryCacheOptions { SizeLimit = MostRemembered });
    private readonly Lock _lock = new();
    private readonly HashSet<NodeName> _inARow = [];
    private long _lastSilent;
    private TimeSpan _pause;

    /// <summary>Whether the last node that was asked said nothing; the next one is then to show sooner that it is there.</summary>
    public bool IsInDoubt
    {
        get
        {
            lock (_lock)
            {
                return _inARow.Count > 0 && time.GetElapsedTime(_lastSilent) < 2 * LongestPause;
            }
        }
    }

    /// <summary>Why no node at all is to be asked, for people; null when some may be.</summary>
    public string? ProblemOfAll
    {
        get
        {
            lock (_lock)
            {
                return time.GetElapsedTime(_lastSilent) < _pause ? "several nodes in a row have just been silent" : null;
            }
        }
    }

    /// <summary>Why a node is not to be asked for this content, for people; null when it may be.</summary>
    public string? ProblemOf(NodeName node, Digest digest) =>
        ProblemOfAll ?? Recall(_shunned, (node, digest))?.Reason ?? Recall(_slow, (node, digest))?.Reason ?? Recall(_silent, node)?.Reason;

    /// <summary>Does without the node for this content for a moment, in which it is fetched upstream: the node gives it far more slowly.</summary>
    public void Slow(NodeName node, Digest digest)
    {
        var problem = new Problem("it gives this content far more slowly than upstream is expected to", time.GetTimestamp(), SlowFor);
        foreach (object of in new object[] { (node, digest), node, digest })
        {
            _slow.Set(of, problem, new MemoryCacheEntryOptions { Size = 1, AbsoluteExpirationRelativeToNow = SlowRemembered });
        }
    }

    /// <summary>Whether the node has been slow lately.</summary>
    public bool HasBeenSlow(NodeName node) => _slow.TryGetValue(node, out _);

    /// <summary>Whether this content was to be fetched upstream lately, since a node that has it is slow.</summary>
    public bool HasTurnedUpstream(Digest digest) => _slow.TryGetValue(digest, out _);

    /// <summary>Stops asking the node for this content, of which it has sent corrupt bytes.</summary>
    public void Shun(NodeName node, Digest digest) =>
        Shun(node, digest, new Problem("it has sent corrupt bytes of this content", time.GetTimestamp(), ShunnedFor));

    /// <summary>Stops asking the node for this content, corrupt bytes of which have come from there, until it may be known who made them so.</summary>
    public void Suspect(NodeName node, Digest digest)
    {
        if (Recall(_shunned, (node, digest)) is null)
        {
            Shun(node, digest, new Problem("corrupt bytes of this content have come from there, perhaps by another's fault", time.GetTimestamp(), SuspectedFor));
        }
    }

    /// <summary>Is told of a node that has not answered, and for how long it was waited for.</summary>
    public void Waited(NodeName node, TimeSpan duration)
    {
        // Shorter waits end for other reasons: the client is gone, or another answered.
        if (duration >= options.Value.PeerStartBudget / 2)
        {
            Silent(node);
        }
    }

    /// <summary>Is told of a node that has said nothing at all for longer than it may.</summary>
    public void Silent(NodeName node)
    {
        Remember(_silent, node, new Problem("it has just been silent for too long", time.GetTimestamp(), SilentFor));
        lock (_lock)
        {
            if (time.GetElapsedTime(_lastSilent) < _pause)
            {
                // It was asked before the pause.
                return;
            }

            if (!IsInDoubt)
            {
                _inARow.Clear();
                _pause = TimeSpan.Zero;
            }

            _lastSilent = time.GetTimestamp();
            if (_inARow.Count == Several || (_inARow.Add(node) && _inARow.Count == Several))
            {
                _pause = _pause == TimeSpan.Zero ? FirstPause : 2 * _pause < LongestPause ? 2 * _pause : LongestPause;
            }
        }
    }

    /// <summary>Is told why a node did not give what it was asked for.</summary>
    public void Failed(NodeName node, PeerException why)
    {
        switch (why.InnerException)
        {
            case OperationCanceledException:
                Silent(node);
                break;
            case null:
                Answered();
                break;
        }
    }

    /// <summary>Is told that some node has answered, whatever it said.</summary>
    public void Answered()
    {
        lock (_lock)
        {
            _inARow.Clear();
            _pause = TimeSpan.Zero;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _shunned.Dispose();
        _slow.Dispose();
        _silent.Dispose();
    }

    private void Shun(NodeName node, Digest digest, Problem problem)
    {
        if (Recall(_shunned, (node, digest)) is null)
        {
            metrics.Shunned();
        }

        Remember(_shunned, (node, digest), problem);
    }

    private Problem? Recall(MemoryCache problems, object of) =>
        problems.Get<Problem>(of) is { } problem && time.GetElapsedTime(problem.Since) < problem.Lasts ? problem : null;

    private static void Remember(MemoryCache problems, object of, Problem problem) =>
        problems.Set(of, problem, new MemoryCacheEntryOptions { Size = 1, AbsoluteExpirationRelativeToNow = problem.Lasts });

    /// <param name="Reason">What it is, for people.</param>
    /// <param name="Since">The time's stamp at which it was seen.</param>
    /// <param name="Lasts">How long it counts.</param>
    private sealed record Problem(string Reason, long Since, TimeSpan Lasts);
}
