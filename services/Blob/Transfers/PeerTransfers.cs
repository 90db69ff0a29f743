using System.Buffers;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Planning;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>Reads content from the peers of a plan.</summary>
internal sealed class PeerTransfers(
    HedgedStart hedged,
    Following following,
    Referrals referrals,
    Ingests ingests,
    PeerClient peers,
    FastestRate fastest,
    PeerHealth health,
    IOptions<BlobOptions> options,
    BlobMetrics metrics,
    TimeProvider time,
    ILoggerFactory loggers) : IDisposable
{
    /// <summary>How many transfers take windows of several holders at once.</summary>
    private const int MostSpread = 4;

    private readonly SemaphoreSlim _spread = new(MostSpread);

    /// <summary>A transfer of the bytes from <paramref name="first"/> to <paramref name="last"/>; it begins with its first read.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="target">The path and query at which nodes have the content.</param>
    /// <param name="digest">The content.</param>
    /// <param name="first">The first byte.</param>
    /// <param name="last">The last byte; null for all to the end.</param>
    /// <param name="cancellation">Ends the transfer.</param>
    /// <param name="told">Whom to follow, where a resolver has said it already.</param>
    public VerifyingReader Open(
        PullPlan plan, string target, Digest digest, long first, long? last, CancellationToken cancellation, FollowAnswer? told = null)
    {
        var candidates = QueueOf(plan, digest);
        IPeerSource holders = HoldersOf(candidates, digest);
        if (last is null && plan.KnownBytes is { } bytes && bytes - first >= SpreadSource.LeastBytes && NearestOf(plan) is [_, _, ..] nearest)
        {
            holders = new SpreadSource(holders, candidates, nearest, bytes, peers, fastest, _spread, time);
        }

        var source = plan.Follows ? following.Before(holders, candidates, plan, target, digest, isRest: first > 0, told) : holders;
        var reader = new ResumingReader(
            source,
            new ContentPart(target, digest, first, last, plan.KnownBytes),
            options.Value.StallBudget,
            health,
            metrics,
            time,
            loggers.CreateLogger<ResumingReader>(),
            cancellation);
        return new VerifyingReader(reader, ingests, health, metrics, loggers.CreateLogger<VerifyingReader>());
    }

    /// <summary>
    /// Content whole, and thus verified; null when no peer gives it, or when <paramref name="hasPlace"/> says of its length in bytes that there is no place for it.
    /// </summary>
    public async Task<ReceivedContent?> ReadAllAsync(
        PullPlan plan, string target, Digest digest, FollowAnswer? told, Func<long, Task<bool>> hasPlace, CancellationToken cancellation)
    {
        using var transfer = Open(plan, target, digest, 0, null, cancellation, told);
        var buffer = ArrayPool<byte>.Shared.Rent(VerifyingReader.HeldBackBytes);
        try
        {
            var read = await transfer.ReadAsync(buffer);
            if (!await hasPlace(transfer.Total))
            {
                return null;
            }

            var content = new byte[transfer.Total];
            for (var length = 0; read > 0; read = await transfer.ReadAsync(buffer))
            {
                buffer.AsSpan(0, read).CopyTo(content.AsSpan(length));
                length += read;
            }

            return new ReceivedContent(content, transfer.Holder, transfer.IsRelayed);
        }
        catch (Exception e) when (e is PeersExhaustedException or CorruptContentException)
        {
            return null;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>The content's length, as the first holder that answers says; null when none does.</summary>
    public async Task<(long Length, Holder Holder)?> MeasureAsync(PullPlan plan, string target, Digest digest, CancellationToken cancellation)
    {
        using var budget = new CancellationTokenSource(options.Value.PeerStartBudget, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, cancellation);
        using var holders = HoldersOf(QueueOf(plan, digest), digest);
        using var answer = await holders.StartAsync(new PeerRequest(HttpMethod.Head, target), either.Token);
        cancellation.ThrowIfCancellationRequested();
        return answer is not null && new ContentPart(target, digest, 0, null, plan.KnownBytes).MayHave(answer.Total) ? (answer.Total, answer.Holder) : null;
    }

    /// <inheritdoc/>
    public void Dispose() => _spread.Dispose();

    private static IReadOnlyList<Holder> NearestOf(PullPlan plan) => [.. plan.Holders.Where(holder => holder.Tier == plan.Holders[0].Tier)];

    private PeerQueue QueueOf(PullPlan plan, Digest digest) =>
        new(plan.Holders, options.Value.MaxPeerAttempts, holder => health.ProblemOf(holder.Node.Name, digest) is not null);

    private HolderSource HoldersOf(PeerQueue candidates, Digest digest) => new(hedged, referrals, candidates, digest, options.Value.PeerStartBudget, time);
}

/// <summary>Content that has come whole.</summary>
/// <param name="Bytes">All of it.</param>
/// <param name="Holder">The node that the last of it came from.</param>
/// <param name="IsRelayed">Whether that node was still downloading it.</param>
internal sealed record ReceivedContent(byte[] Bytes, Holder Holder, bool IsRelayed);
