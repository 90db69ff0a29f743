using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Planning;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Transfers;

/// <summary>Begins to follow others, with what all that do so share.</summary>
internal sealed partial class Following(
    ResolverClient resolver,
    PeerClient peers,
    Routes routes,
    FastestRate fastest,
    Feeds feeds,
    Ingests ingests,
    PeerHealth health,
    IOptions<BlobOptions> options,
    IOptions<NodeOptions> node,
    TimeProvider time,
    ILogger<Following> logger)
{
    private readonly NodeIdentity _node = node.Value.Identity;

    /// <summary>This node.</summary>
    public NodeName Name => _node.Name;

    public ResolverClient Resolver => resolver;

    public Feeds Feeds => feeds;

    public Ingests Ingests => ingests;

    public Routes Routes => routes;

    public PeerHealth Health => health;

    public BlobOptions Options => options.Value;

    /// <summary>Looks how the nodes before this one are getting on.</summary>
    public ParentWatch Watch(string target, double? upstreamBytesPerSecond, Action tellSlow) =>
        new(peers, resolver, fastest, _node, target, upstreamBytesPerSecond, tellSlow, time);

    /// <summary>Takes in that bytes have come.</summary>
    public void Came(int bytes) => fastest.Came(bytes);

    /// <summary>This node, if its own link is known to be slow.</summary>
    public NodeName? SelfIfSlow => fastest.IsSlow ? _node.Name : null;

    /// <summary>
    /// How long a node that is followed may be silent until it is asked whether it is there. Of those behind a node that is gone only the next one finds that it
    /// is: the others have one that answers, and wait for it to find another source.
    /// </summary>
    private TimeSpan Patience => options.Value.StallBudget < 2 * options.Value.PeerConnectBudget ? options.Value.StallBudget : 2 * options.Value.PeerConnectBudget;

    /// <summary>After so many nodes that were followed in vain no other is.</summary>
    public int MostFailed => Math.Min(options.Value.MaxPeerAttempts, FollowRequest.MaxFailed);

    /// <summary>Whether no node at all is to be asked now.</summary>
    public bool IsPaused => health.ProblemOfAll is not null;

    /// <summary>
    /// The nodes in flight, with the holders that are farther than they; the holders alone where another request for the whole follows somebody already.
    /// </summary>
    /// <param name="farther">The holders.</param>
    /// <param name="candidates">The same, of which one may be preferred.</param>
    /// <param name="plan">The plan that they are of.</param>
    /// <param name="target">The path and query at which nodes have the content.</param>
    /// <param name="digest">The content.</param>
    /// <param name="isRest">
    /// Whether what is asked for does not begin at the first byte. It then comes from the node that another request follows, or has followed.
    /// </param>
    /// <param name="told">Whom to follow, where a resolver has said it already.</param>
    public IPeerSource Before(IPeerSource farther, PeerQueue candidates, PullPlan plan, string target, Digest digest, bool isRest, FollowAnswer? told)
    {
        return TryFollow(isRest ? feeds.ParentOf(digest) : null) is { } follow ? follow
            : isRest ? new JoinSource(this, digest, farther, () => TryFollow(known: null))
            : farther;

        FollowSource? TryFollow((NodeIdentity Node, int Depth)? known) =>
            feeds.TryBegin(digest) is { } tail ? new FollowSource(this, plan, target, digest, tail, farther, candidates, known, told) : null;
    }

    /// <summary>Waits that long before another look.</summary>
    public Task PauseAsync(TimeSpan interval, CancellationToken cancellation) => Task.Delay(interval, time, cancellation);

    /// <summary>The answer of a node to follow, over which the content comes at that depth; null when it gives none, also because it has declined.</summary>
    public async Task<(PeerAnswer? Answer, bool HasDeclined)> AskAsync(NodeIdentity parent, Digest digest, int depth, PeerRequest request, CancellationToken cancellation)
    {
        if (health.ProblemOf(parent.Name, digest) is { } problem)
        {
            Log.Refused(logger, parent.Name, digest, problem);
            return default;
        }

        // One that has it meanwhile and is still checking it is a holder, and waited for like one.
        for (var started = time.GetTimestamp(); ;)
        {
            var (answer, declined) = await AskOnceAsync(parent, digest, depth, request, cancellation);
            if (declined is not { IsChecking: true } || time.GetElapsedTime(started) >= options.Value.PeerStartBudget)
            {
                return (answer, declined is not null);
            }

            await Task.Delay(PeerClient.DeclinedPause, time, cancellation);
        }
    }

    private async Task<(PeerAnswer? Answer, PeerDeclinedException? Declined)> AskOnceAsync(
        NodeIdentity parent, Digest digest, int depth, PeerRequest request, CancellationToken cancellation)
    {
        // To connect, and to wait for the download to appear there: each has the same budget.
        using var budget = new CancellationTokenSource(2 * options.Value.PeerConnectBudget, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, cancellation);
        try
        {
            var asked = peers.AskAsync(new Holder(parent, Tier.SameZone), request with { Follow = true }, either.Token);
            if (await IsDeadAsync(parent, asked, either.Token))
            {
                health.Silent(parent.Name);
                await either.CancelAsync();
            }

            var answer = await asked;
            health.Answered();
            answer.Patience = Patience;
            return (answer, null);
        }
        catch (PeerDeclinedException e)
        {
            health.Answered();
            Log.Refused(logger, parent.Name, digest, e.Message);
            return (null, e);
        }
        catch (PeerException e)
        {
            Log.Refused(logger, parent.Name, digest, e.Message);
            health.Failed(parent.Name, e);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            Log.Refused(logger, parent.Name, digest, "no answer in time");
        }

        return default;
    }

    /// <summary>
    /// A node that has not answered yet may be busy, or hash what it has. One that does not even answer that it is there is not waited for, and not asked for the
    /// next layer.
    /// </summary>
    private async Task<bool> IsDeadAsync(NodeIdentity node, Task asked, CancellationToken cancellation)
    {
        using var known = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var (connect, hedge) = (options.Value.PeerConnectBudget, options.Value.HedgeDelay);
        var (delay, patience) = health.IsInDoubt ? (connect / 10, connect / 4) : (hedge < connect / 2 ? hedge : connect / 2, connect);
        if (await Task.WhenAny(asked, Task.Delay(delay, time, known.Token)) != asked)
        {
            var alive = peers.IsAliveAsync(node, patience, known.Token);
            if (await Task.WhenAny(asked, alive) != asked)
            {
                return !await alive && !cancellation.IsCancellationRequested;
            }
        }

        await known.CancelAsync();
        return false;
    }

    /// <summary>The answer of a holder. It has the content already, so it is not waited for as long as those are that still download it.</summary>
    public async Task<PeerAnswer?> StartFartherAsync(IPeerSource farther, PeerRequest request, CancellationToken cancellation)
    {
        using var budget = new CancellationTokenSource(farther.StartBudget, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, cancellation);
        return await farther.StartAsync(request, either.Token);
    }

    /// <summary>
    /// Whether a node that is followed at that depth may be silent for longer. When the one before it is gone, it needs time to find another, or to begin
    /// upstream: if its followers gave it up meanwhile, each node of a chain would become a lead, one after the other.
    /// </summary>
    public async Task<bool> ExcusesAsync(Holder parent, int depth, TimeSpan silence, CancellationToken cancellation)
    {
        if (silence >= feeds.LongestPatience(depth))
        {
            return false;
        }

        var isAlive = await peers.IsAliveAsync(parent.Node, options.Value.PeerConnectBudget, cancellation);
        if (!isAlive && !cancellation.IsCancellationRequested)
        {
            health.Silent(parent.Node.Name);
        }

        return isAlive;
    }

    /// <summary>Whether a node that the resolver names may be followed: whatever the answer says, not itself, and none outside the zone.</summary>
    public bool IsInZone(NodeIdentity other) => other.Location == _node.Location && other.Name != _node.Name;

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "Node {Node} cannot be followed for {Digest}: {Reason}")]
        public static partial void Refused(ILogger logger, NodeName node, Digest digest, string reason);
    }
}
