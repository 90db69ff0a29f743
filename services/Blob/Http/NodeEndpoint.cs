using System.Buffers;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Planning;
using SpegelDapr.Blob.Recording;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Blob.Transfers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Http;

/// <summary>
/// Answers the node's containerd, and any other client that is no peer, by carrying out a <see cref="PullPlan"/>: from local content, or else from peers, or
/// else promptly 404, whereupon containerd asks the next host of its configuration.
/// </summary>
internal sealed class NodeEndpoint(
    LocalContent local,
    Ingests ingests,
    Feeds feeds,
    HolderLookup holders,
    PullPlanner planner,
    PeerTransfers peers,
    ReferrersAnswer referrers,
    UpstreamWatch upstream,
    ContentSender sender,
    StrangerShares strangers,
    TransferSlots slots,
    BlobMetrics metrics)
{
    /// <summary>Answers a request, of which is recorded what happens.</summary>
    public async Task<RequestOutcome> AnswerAsync(HttpContext context, MirrorRequest request, TransferRecording recording)
    {
        var cancellation = context.RequestAborted;
        if (request is { Tag: not null, Registry: null })
        {
            return await ContentSender.MissAsync(context, OciError.TagWithoutRegistry);
        }

        if ((request.Digest ?? await DigestOfTagAsync(request, cancellation)) is not { } digest)
        {
            return await ContentSender.MissAsync(context, OciError.Unknown(request.Kind));
        }

        recording.Names(digest);
        if (request.Kind == ContentKind.Referrers)
        {
            await referrers.WriteAsync(context, digest);
            return RequestOutcome.Local;
        }

        var isGet = HttpMethods.IsGet(context.Request.Method);
        var isSent = isGet && request.Kind == ContentKind.Blob;
        using var share = isSent ? strangers.TryTake(context.Connection.RemoteIpAddress) : null;
        using var slot = share is not null ? await slots.TryTakeAsync(cancellation) : null;
        if (isSent && slot is null)
        {
            return await ContentSender.MissAsync(context, OciError.Unknown(request.Kind));
        }

        using (var file = await local.OpenAsync(digest, cancellation))
        {
            if (file is not null)
            {
                return await sender.SendAsync(context, request, digest, file, recording);
            }
        }

        var asked = isGet ? ContentResponse.RangeOf(context.Request, digest) : null;

        // One of several parts of a download comes from where the others come from, whether or not a resolver answers now.
        IReadOnlyList<NodeName>? inFlight = ContentResponse.IsRest(asked) && feeds.ParentOf(digest) is var (parent, _) ? [parent.Name] : null;
        var question = new PullQuestion(digest, request.Kind, request.Registry, MayFollow: isGet && MayFollow(request.Kind, asked) && ingests.Has(digest));
        var isFirst = !ContentResponse.IsRest(asked) && feeds.TailOf(digest) is null;
        var (known, told) = await holders.FindAsync(digest, isFirst ? planner.FetchingOf(question, feeds.Leads(digest) ? null : feeds.OrderOf(digest)) : null, cancellation);
        var plan = planner.Plan(question, new PullKnowledge(known?.Holders, inFlight));
        recording.Planned(plan, asked?.First);
        planner.CarryOut(plan);
        if (plan.HasPeers)
        {
            var tier = request.Kind == ContentKind.Manifest ? await SendManifestAsync(context, request, digest, plan, told, recording)
                : !isGet ? await SendHeadAsync(context, request, digest, plan)
                : await SendBlobAsync(context, request, digest, plan, asked, told, recording);
            if (tier is not null)
            {
                upstream.Found(digest);
                return RequestOutcomes.Of(tier.Value);
            }

            holders.Forget(digest);
        }

        if (isGet)
        {
            upstream.Missed(digest, plan.Registry, asked?.First ?? 0);
        }

        await OciError.Unknown(request.Kind).WriteAsync(context.Response);
        return plan is { Holders.Count: 0, Candidates.Count: > 0 } ? RequestOutcome.Bypassed : RequestOutcome.Miss;
    }

    private async Task<Digest?> DigestOfTagAsync(MirrorRequest request, CancellationToken cancellation) =>
        ContentKey.TryFromTag(request.Registry!, request.Repository, request.Tag!, out var tag) ? (await holders.FindAsync(tag, cancellation))?.Digest : null;

    /// <summary>Whether a request may be one of a containerd that downloads: a range that ends is never one.</summary>
    private static bool MayFollow(ContentKind kind, ByteRange? asked) => kind == ContentKind.Manifest || asked?.Last is null;

    private async Task<Tier?> SendManifestAsync(HttpContext context, MirrorRequest request, Digest digest, PullPlan plan, FollowAnswer? told, TransferRecording recording)
    {
        IDisposable? place = null;
        try
        {
            return await peers.ReadAllAsync(plan, request.PeerTarget(digest), digest, told, HasPlaceAsync, context.RequestAborted) is var (bytes, holder, isRelayed)
                && await sender.TrySendManifestAsync(context, request, digest, bytes, holder, recording, isRelayed)
                    ? holder.Tier
                    : null;
        }
        finally
        {
            place?.Dispose();
        }

        async Task<bool> HasPlaceAsync(long length) => (place = await sender.TryTakeForManifestAsync(context, length, toPeer: false)) is not null;
    }

    private async Task<Tier?> SendHeadAsync(HttpContext context, MirrorRequest request, Digest digest, PullPlan plan)
    {
        if (await peers.MeasureAsync(plan, request.PeerTarget(digest), digest, context.RequestAborted) is not var (length, holder))
        {
            return null;
        }

        var response = new ContentResponse(digest, ContentResponse.BlobMediaType, length, holder.Tier, holder.Node.Name);
        await response.BeginAsync(context, range: null);
        return holder.Tier;
    }

    private async Task<Tier?> SendBlobAsync(HttpContext context, MirrorRequest request, Digest digest, PullPlan plan, ByteRange? asked, FollowAnswer? told, TransferRecording recording)
    {
        // Any range may be answered with the whole. One from the end is, since its first byte is unknown. One that is the whole is, because a containerd
        // that fetches in parallel begins so, and then does not.
        var range = asked is { First: not null } fromStart && fromStart is not { First: 0, Last: null } ? fromStart : null;
        using var transfer = peers.Open(plan, request.PeerTarget(digest), digest, range?.First ?? 0, range?.Last, context.RequestAborted, told);
        var buffer = ArrayPool<byte>.Shared.Rent(ContentSender.ChunkBytes);
        try
        {
            int read;
            try
            {
                read = await transfer.ReadAsync(buffer);
            }
            catch (PeersExhaustedException)
            {
                return null;
            }

            var tier = transfer.Holder.Tier;
            var response = new ContentResponse(digest, ContentResponse.BlobMediaType, transfer.Total, tier, transfer.Holder.Node.Name, transfer.IsRelayed);
            if (await response.BeginAsync(context, range) is null)
            {
                return tier;
            }

            using var body = sender.BodyOf(context);
            buffer.AsSpan(0, read).CopyTo(body.GetMemory(read).Span);
            do
            {
                // Its end is held back until now, so what containerd commits is written after this.
                if (transfer.IsVerified && ingests.Has(digest))
                {
                    local.Received(digest, transfer.Total);
                }

                recording.Came(transfer.Holder, read, transfer.IsRelayed);
                await body.SendAsync(read);
                metrics.Served(read, transfer.Holder, ContentKind.Blob, toPeer: false, transfer.IsRelayed);
                read = await transfer.ReadAsync(body.GetMemory(ContentSender.ChunkBytes));
            }
            while (read > 0);
            return tier;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
