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

    public ResolverClient Resolver => resolver;

    public Feeds Feeds => feeds;

    public Ingests Ingests => ingests;

    public Routes Routes => routes;

    public BlobOptions Options => options.Value;

    /// <summary>Looks how the nodes before this one are getting on.</summary>
    public ParentWatch Watch(string target, double? upstreamBytesPerSecond) => new(peers, resolver, fastest, _node, target, upstreamBytesPerSecond, time);

    /// <summary>After so many nodes that were followed in vain no other is.</summary>
    public int MostFailed => Math.Min(options.Value.MaxPeerAttempts, FollowRequest.MaxFailed);

    /// <summary>
    /// The nodes in flight, with the holders that are farther than they; the holders alone where another request for the whole follows somebody already.
    /// </summary>
    /// <param name="farther">The holders.</param>
    /// <param name="plan">The plan that they are of.</param>
    /// <param name="target">The path and query at which nodes have the content.</param>
    /// <param name="digest">The content.</param>
    /// <param name="isRest">
    /// Whether what is asked for does not begin at the first byte. It then comes from the node that another request follows, or has followed.
    /// </param>
    public IPeerSource Before(IPeerSource farther, PullPlan plan, string target, Digest digest, bool isRest)
    {
        return TryFollow(isRest ? feeds.ParentOf(digest) : null) is { } follow ? follow
            : isRest ? new JoinSource(this, digest, farther, () => TryFollow(known: null))
            : farther;

        FollowSource? TryFollow((NodeIdentity Node, int Depth)? known) =>
            feeds.TryBegin(digest) is { } tail ? new FollowSource(this, plan, target, digest, tail, farther, known) : null;
    }

    /// <summary>Waits that long before another look.</summary>
    public Task PauseAsync(TimeSpan interval, CancellationToken cancellation) => Task.Delay(interval, time, cancellation);

    /// <summary>The answer of a node to follow, over which the content comes at that depth; null when it gives none.</summary>
    public async Task<PeerAnswer?> AskAsync(NodeIdentity parent, Digest digest, int depth, PeerRequest request, CancellationToken cancellation)
    {
        if (health.ProblemOf(parent.Name, digest) is { } problem)
        {
            Log.Refused(logger, parent.Name, digest, problem);
            return null;
        }

        // One that has it meanwhile and is still checking it is a holder, and waited for like one.
        for (var started = time.GetTimestamp(); ;)
        {
            var (answer, isChecking) = await AskOnceAsync(parent, digest, depth, request, cancellation);
            if (!isChecking || time.GetElapsedTime(started) >= options.Value.PeerStartBudget)
            {
                return answer;
            }

            await Task.Delay(PeerClient.CheckingInterval, time, cancellation);
        }
    }

    private async Task<(PeerAnswer? Answer, bool IsChecking)> AskOnceAsync(
        NodeIdentity parent, Digest digest, int depth, PeerRequest request, CancellationToken cancellation)
    {
        // To connect, and to wait for the download to appear there: each has the same budget.
        using var budget = new CancellationTokenSource(2 * options.Value.PeerConnectBudget, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, cancellation);
        try
        {
            var answer = await peers.AskAsync(new Holder(parent, Tier.SameZone), request with { Follow = true }, either.Token);
            answer.Patience = feeds.Patience(depth);
            return (answer, false);
        }
        catch (PeerException e) when (e.IsChecking)
        {
            return (null, true);
        }
        catch (PeerException e)
        {
            Log.Refused(logger, parent.Name, digest, e.Message);
            if (e.InnerException is OperationCanceledException)
            {
                health.Silent(parent.Name);
            }
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            Log.Refused(logger, parent.Name, digest, "no answer in time");
            await NoteIfDeadAsync(parent, cancellation);
        }

        return (null, false);
    }

    /// <summary>A node may be busy, or hash what it has; one that does not even answer that it is there is not asked for the next layer.</summary>
    private async Task NoteIfDeadAsync(NodeIdentity node, CancellationToken cancellation)
    {
        if (!await peers.IsAliveAsync(node, cancellation) && !cancellation.IsCancellationRequested)
        {
            health.Silent(node.Name);
        }
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
    public async Task<bool> ExcusesAsync(Holder parent, int depth, TimeSpan silence, CancellationToken cancellation) =>
        silence < feeds.LongestPatience(depth) && await peers.IsAliveAsync(parent.Node, cancellation);

    /// <summary>Whether a node that the resolver names may be followed: whatever the answer says, not itself, and none outside the zone.</summary>
    public bool IsInZone(NodeIdentity other) => other.Location == _node.Location && other.Name != _node.Name;

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "Node {Node} cannot be followed for {Digest}: {Reason}")]
        public static partial void Refused(ILogger logger, NodeName node, Digest digest, string reason);
    }
}
