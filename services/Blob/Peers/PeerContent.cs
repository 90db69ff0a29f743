using System.Buffers;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Relay;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>Content of other nodes.</summary>
internal sealed class PeerContent(
    HedgedStart hedged,
    Following following,
    Shunned shunned,
    SilentNodes silent,
    IOptions<BlobOptions> options,
    BlobMetrics metrics,
    TimeProvider time,
    ILogger<PeerContent> logger)
{
    public Shunned Shunned => shunned;

    public BlobOptions Options => options.Value;

    public BlobMetrics Metrics => metrics;

    public TimeProvider Time => time;

    public ILogger Logger => logger;

    /// <summary>
    /// A transfer of the bytes from <paramref name="first"/> to <paramref name="last"/>; it begins with its first read. When none of the holders is
    /// in this node's zone, the nodes of the zone that are downloading the content come before them, if it may follow them.
    /// </summary>
    public PeerTransfer Open(
        IReadOnlyList<Holder> holders, string target, Digest digest, long first, long? last, bool mayFollow, CancellationToken cancellation)
    {
        IPeerSource source = new HolderSource(hedged, Candidates(holders, digest), options.Value.PeerStartBudget);
        return new PeerTransfer(
            this,
            !mayFollow || holders.Any(holder => holder.Tier == Tier.SameZone) ? source : following.Before(source, digest, isRest: first > 0),
            target,
            digest,
            first,
            last,
            cancellation);
    }

    /// <summary>Content whole, and thus verified; null when no peer gives it, or it is longer than <paramref name="mostBytes"/>.</summary>
    public async Task<ReceivedContent?> ReadAllAsync(
        IReadOnlyList<Holder> holders, string target, Digest digest, int mostBytes, bool mayFollow, CancellationToken cancellation)
    {
        using var transfer = Open(holders, target, digest, 0, null, mayFollow, cancellation);
        var buffer = ArrayPool<byte>.Shared.Rent(PeerTransfer.HeldBackBytes);
        using var content = new MemoryStream();
        try
        {
            while (await transfer.ReadAsync(buffer) is var read and > 0)
            {
                if (transfer.Total > mostBytes)
                {
                    return null;
                }

                content.Write(buffer, 0, read);
            }

            return new ReceivedContent(content.ToArray(), transfer.Holder, transfer.IsRelayed);
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

    /// <summary>The content's length, as the first peer that answers says; null when none does.</summary>
    public async Task<(long Length, Holder Holder)?> MeasureAsync(
        IReadOnlyList<Holder> holders, string target, Digest digest, CancellationToken cancellation)
    {
        using var budget = new CancellationTokenSource(options.Value.PeerStartBudget, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(budget.Token, cancellation);
        using var answer = await hedged.StartAsync(Candidates(holders, digest), new PeerRequest(HttpMethod.Head, target), either.Token);
        cancellation.ThrowIfCancellationRequested();
        return answer is null ? null : (answer.Total, answer.Holder);
    }

    private Candidates Candidates(IReadOnlyList<Holder> holders, Digest digest) =>
        new(holders, options.Value.MaxPeerAttempts, holder => shunned.Contains(holder.Node.Name, digest) || silent.Contains(holder.Node.Name));
}

/// <summary>Content that has come whole.</summary>
/// <param name="Bytes">All of it.</param>
/// <param name="Holder">The node that the last of it came from.</param>
/// <param name="IsRelayed">Whether that node was still downloading it.</param>
internal sealed record ReceivedContent(byte[] Bytes, Holder Holder, bool IsRelayed);
