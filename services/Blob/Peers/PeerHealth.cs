using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>
/// Which peers are not asked for now. One that sent corrupt content is not asked for that content for an hour, and for two minutes while another may have made it
/// so. One that took a connection and then said nothing is asked for nothing for half a minute: an image has many layers, and each would wait for it anew
/// until the budget ends.
/// </summary>
internal sealed class PeerHealth(IOptions<BlobOptions> options, BlobMetrics metrics, TimeProvider time) : IDisposable
{
    private const int MostRemembered = 10_000;
    private static readonly TimeSpan ShunnedFor = TimeSpan.FromHours(1);
    private static readonly TimeSpan SuspectedFor = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan SilentFor = TimeSpan.FromSeconds(30);

    private readonly MemoryCache _shunned = new(new MemoryCacheOptions { SizeLimit = MostRemembered });
    private readonly MemoryCache _silent = new(new MemoryCacheOptions { SizeLimit = MostRemembered });

    /// <summary>Why a node is not to be asked for this content, for people; null when it may be.</summary>
    public string? ProblemOf(NodeName node, Digest digest) => Recall(_shunned, (node, digest))?.Reason ?? Recall(_silent, node)?.Reason;

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
    public void Silent(NodeName node) => Remember(_silent, node, new Problem("it has just been silent for too long", time.GetTimestamp(), SilentFor));

    /// <inheritdoc/>
    public void Dispose()
    {
        _shunned.Dispose();
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
