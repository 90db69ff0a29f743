using System.Buffers;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Content;
using SpegelDapr.Blob.Holders;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Referrers;
using SpegelDapr.Blob.Relay;
using SpegelDapr.Blob.Routing;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Mirror;

/// <summary>
/// Answers every request on the mirror's port: from local content, or else from peers, or else promptly 404, whereupon containerd asks
/// the next host of its configuration. Another node's request is answered from local content only, or from what this node's containerd is
/// downloading, so none goes in circles.
/// </summary>
internal sealed partial class MirrorEndpoint(
    LocalContent local,
    HolderLookup holders,
    Prefetch prefetch,
    HolderChooser chooser,
    PeerContent peers,
    Ingests ingests,
    ReferrersAnswer referrers,
    UpstreamWatch upstream,
    RegistryFilter registries,
    TransferSlots slots,
    IOptions<NodeOptions> node,
    IOptions<BlobOptions> options,
    BlobMetrics metrics,
    TimeProvider time,
    IHostApplicationLifetime lifetime,
    ILogger<MirrorEndpoint> logger)
{
    /// <summary>
    /// How much is read and sent at once. Measured on two cores: a quarter of it costs a fourth of the throughput through a peer.
    /// </summary>
    public const int ChunkBytes = PeerTransfer.HeldBackBytes;

    private const string Miss = "miss";
    private const string Bypassed = "bypassed";
    private const string Broken = "broken";
    private const string Relayed = "relayed";

    private readonly NodeName _node = node.Value.Identity.Name;

    /// <summary>Answers one request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        var target = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        if (RefusalOf(context) is { } refusal)
        {
            await refusal.WriteAsync(context.Response);
        }
        else if (MirrorRequest.IsBase(target))
        {
            context.Response.ContentType = "application/json";
            context.Response.Headers[SpegelHeaders.Holder] = _node.ToString();
            context.Response.ContentLength = 2;
            await context.Response.WriteAsync("{}", context.RequestAborted);
        }
        else if (MirrorRequest.TryParse(target, out var request, out var error))
        {
            await AnswerAndCountAsync(context, request);
        }
        else
        {
            await error.WriteAsync(context.Response);
        }
    }

    private static OciError? RefusalOf(HttpContext context) =>
        !HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method) ? OciError.ReadOnly
        : context.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody == true ? OciError.NoBodyExpected
        : null;

    private async Task AnswerAndCountAsync(HttpContext context, MirrorRequest request)
    {
        var fromPeer = context.Request.Headers.ContainsKey(SpegelHeaders.Peer);
        var outcome = Broken;
        try
        {
            outcome = await AnswerAsync(context, request, fromPeer);
        }
        catch (Exception) when (context.RequestAborted.IsCancellationRequested)
        {
            outcome = "aborted";
        }
        catch (Exception e) when (!context.Response.HasStarted)
        {
            Log.Failed(logger, e, request);
            context.Response.Clear();
            await OciError.Unavailable.WriteAsync(context.Response);
        }
        catch (Exception e) when (e is IOException or PeersExhaustedException or CorruptContentException)
        {
            // Kestrel then closes the connection as if all had been sent, which is an unexpected EOF, after which containerd asks the next
            // host for the rest. HttpContext.Abort would reset the connection, upon which containerd gives up the pull (httpreadseeker.go).
            Log.Cut(logger, request, e.Message);
            throw;
        }
        finally
        {
            metrics.Request(outcome, request.Kind, fromPeer);
        }
    }

    /// <summary>Answers the request; returns the outcome for the metrics.</summary>
    private async Task<string> AnswerAsync(HttpContext context, MirrorRequest request, bool fromPeer)
    {
        var cancellation = context.RequestAborted;
        if (request.Registry is { } registry && !registries.IsAllowed(registry, request.Repository, request.Tag))
        {
            return await MissAsync(context, OciError.NotMirrored(registry));
        }

        if (request.Digest is not { } digest)
        {
            if (request.Registry is null)
            {
                return await MissAsync(context, OciError.TagWithoutRegistry);
            }

            if (fromPeer
                || !ContentKey.TryFromTag(request.Registry, request.Repository, request.Tag!, out var tag)
                || (await holders.FindAsync(tag, cancellation))?.Digest is not { } tagged)
            {
                return await MissAsync(context, OciError.Unknown(request.Kind));
            }

            digest = tagged;
        }

        if (request.Kind == ContentKind.Referrers)
        {
            await referrers.WriteAsync(context, digest);
            return Tier.Local.Name();
        }

        var isGet = HttpMethods.IsGet(context.Request.Method);
        var isSent = isGet && request.Kind == ContentKind.Blob;
        using var slot = isSent ? await slots.TryTakeAsync(fromPeer, cancellation) : null;
        if (isSent && slot is null)
        {
            return await MissAsync(context, OciError.Unknown(request.Kind));
        }

        using (var file = await local.OpenAsync(digest, cancellation))
        {
            if (file is not null)
            {
                return await AnswerFromFileAsync(context, request, digest, file, fromPeer);
            }
        }

        if (fromPeer)
        {
            return isGet && options.Value.Relay && context.Request.Headers.ContainsKey(SpegelHeaders.Follow)
                ? await RelayAsync(context, request, digest)
                : await MissAsync(context, OciError.Unknown(request.Kind));
        }

        var resolved = await holders.FindAsync(digest, cancellation);
        var choice = chooser.Choose(digest, request.Kind, request.Registry, resolved?.Holders ?? []);
        if (choice.Holders.Count > 0 || (isGet && options.Value.Relay && resolved is not null))
        {
            var tier = request.Kind == ContentKind.Manifest ? await AnswerManifestFromPeersAsync(context, request, digest, choice.Holders)
                : !isGet ? await AnswerHeadFromPeersAsync(context, request, digest, choice.Holders)
                : await AnswerBlobFromPeersAsync(context, request, digest, choice.Holders);
            if (tier is not null)
            {
                return tier.Value.Name();
            }

            holders.Forget(digest);
        }

        if (isGet)
        {
            upstream.Missed(digest, choice.Registry);
        }

        await OciError.Unknown(request.Kind).WriteAsync(context.Response);
        return choice is { Holders.Count: 0, Candidates.Count: > 0 } ? Bypassed : Miss;
    }

    private static async Task<string> MissAsync(HttpContext context, OciError error)
    {
        await error.WriteAsync(context.Response);
        return Miss;
    }

    private async Task<string> AnswerFromFileAsync(HttpContext context, MirrorRequest request, Digest digest, LocalFile file, bool fromPeer)
    {
        if (request.Kind == ContentKind.Blob)
        {
            var response = new ContentResponse(digest, ContentResponse.BlobMediaType, file.Length, Tier.Local, _node);
            if (await response.BeginAsync(context, ContentResponse.RangeOf(context.Request, digest)) is var (offset, count))
            {
                await SendFileAsync(context, file, offset, count, fromPeer);
            }

            return Tier.Local.Name();
        }

        return file.Length <= OciManifest.MaxBytes
            && await AnswerManifestAsync(context, request, digest, file.ReadAll(), Tier.Local, _node, fromPeer, isRelayed: false)
            ? Tier.Local.Name()
            : await MissAsync(context, OciError.Unknown(request.Kind));
    }

    private async Task SendFileAsync(HttpContext context, LocalFile file, long offset, long count, bool toPeer)
    {
        // The file is read into the buffers that Kestrel sends from: measured over loopback, this is faster than sendfile.
        using var sender = SenderFor(context);
        while (count > 0)
        {
            var chunk = sender.GetMemory((int)Math.Min(ChunkBytes, count));
            var read = file.Read(chunk.Span[..(int)Math.Min(Math.Min(chunk.Length, ChunkBytes), count)], offset);
            if (read == 0)
            {
                throw new EndOfStreamException("The file became shorter while it was sent.");
            }

            (offset, count) = (offset + read, count - read);
            await sender.SendAsync(read);
            metrics.Served(read, Tier.Local, ContentKind.Blob, toPeer);
        }
    }

    private ResponseSender SenderFor(HttpContext context) => new(context, time, lifetime.ApplicationStopping);

    /// <summary>
    /// Answers another node, which follows this one, out of what containerd is downloading: with a blob as it grows, and with a manifest, whose type
    /// is in its bytes, when it is there whole.
    /// </summary>
    private async Task<string> RelayAsync(HttpContext context, MirrorRequest request, Digest digest)
    {
        var cancellation = context.RequestAborted;
        using (var download = await ingests.FindAsync(digest, cancellation))
        {
            if (download is not null && request.Kind == ContentKind.Blob)
            {
                var response = new ContentResponse(digest, ContentResponse.BlobMediaType, download.Total, Tier.Local, _node, IsRelayed: true);
                if (await response.BeginAsync(context, ContentResponse.RangeOf(context.Request, digest)) is var (offset, count))
                {
                    await SendDownloadAsync(context, download, offset, count);
                }

                return Relayed;
            }

            if (download is not null && !await download.IsCommittedAsync(cancellation))
            {
                return await MissAsync(context, OciError.Unknown(request.Kind));
            }
        }

        using var file = await local.OpenAsync(digest, cancellation);
        return file is null
            ? await MissAsync(context, OciError.Unknown(request.Kind))
            : await AnswerFromFileAsync(context, request, digest, file, fromPeer: true);
    }

    private async Task SendDownloadAsync(HttpContext context, GrowingFile download, long offset, long count)
    {
        // The headers go at once, by which the follower knows that there is something to wait for.
        using var sender = SenderFor(context);
        await sender.SendAsync(0);
        while (count > 0)
        {
            var read = (int)Math.Min(await download.ReadAsync(sender.GetMemory(ChunkBytes), offset, context.RequestAborted), count);
            (offset, count) = (offset + read, count - read);
            await sender.SendAsync(read);
            metrics.Served(read, Tier.Local, ContentKind.Blob, toPeer: true, isRelayed: true);
        }
    }

    /// <summary>Answers with a manifest, whose bytes match its digest; false when they are no manifest.</summary>
    private async Task<bool> AnswerManifestAsync(
        HttpContext context, MirrorRequest request, Digest digest, byte[] bytes, Tier tier, NodeName holder, bool fromPeer, bool isRelayed)
    {
        if (OciManifest.TryParse(bytes) is not { EffectiveMediaType: { } mediaType } manifest)
        {
            return false;
        }

        if (fromPeer)
        {
            prefetch.ForPeer(manifest);
        }
        else
        {
            prefetch.ForNode(manifest, request.Registry);
        }

        var response = new ContentResponse(digest, mediaType, bytes.Length, tier, holder, isRelayed);
        if (await response.BeginAsync(context, ContentResponse.RangeOf(context.Request, digest)) is var (offset, count))
        {
            await context.Response.Body.WriteAsync(bytes.AsMemory((int)offset, (int)count), context.RequestAborted);
            metrics.Served(count, tier, ContentKind.Manifest, fromPeer, isRelayed);
        }

        return true;
    }

    private async Task<Tier?> AnswerManifestFromPeersAsync(
        HttpContext context, MirrorRequest request, Digest digest, IReadOnlyList<Holder> known) =>
        await peers.ReadAllAsync(
            known, request.PeerTarget(digest), digest, OciManifest.MaxBytes, mayFollow: HttpMethods.IsGet(context.Request.Method), context.RequestAborted) is var (bytes, holder, isRelayed)
        && await AnswerManifestAsync(context, request, digest, bytes, holder.Tier, holder.Node.Name, fromPeer: false, isRelayed)
            ? holder.Tier
            : null;

    private async Task<Tier?> AnswerHeadFromPeersAsync(
        HttpContext context, MirrorRequest request, Digest digest, IReadOnlyList<Holder> known)
    {
        if (await peers.MeasureAsync(known, request.PeerTarget(digest), digest, context.RequestAborted) is not var (length, holder))
        {
            return null;
        }

        var response = new ContentResponse(digest, ContentResponse.BlobMediaType, length, holder.Tier, holder.Node.Name);
        await response.BeginAsync(context, range: null);
        return holder.Tier;
    }

    private async Task<Tier?> AnswerBlobFromPeersAsync(
        HttpContext context, MirrorRequest request, Digest digest, IReadOnlyList<Holder> known)
    {
        // Any range may be answered with the whole. One from the end is, since its first byte is unknown. One that is the whole is, because a containerd that
        // fetches in parallel begins so, and then does not. A range that ends is never containerd's.
        var asked = ContentResponse.RangeOf(context.Request, digest);
        var range = asked is { First: not null } fromStart && fromStart is not { First: 0, Last: null } ? fromStart : null;
        using var transfer = peers.Open(known, request.PeerTarget(digest), digest, range?.First ?? 0, range?.Last, mayFollow: asked?.Last is null, context.RequestAborted);
        var buffer = ArrayPool<byte>.Shared.Rent(ChunkBytes);
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

            using var sender = SenderFor(context);
            buffer.AsSpan(0, read).CopyTo(sender.GetMemory(read).Span);
            await sender.SendAsync(read);
            metrics.Served(read, tier, ContentKind.Blob, toPeer: false, transfer.IsRelayed);
            await SendTransferAsync(sender, transfer);
            return tier;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async Task SendTransferAsync(ResponseSender sender, PeerTransfer transfer)
    {
        while (await transfer.ReadAsync(sender.GetMemory(ChunkBytes)) is var read and > 0)
        {
            await sender.SendAsync(read);
            metrics.Served(read, transfer.Holder.Tier, ContentKind.Blob, toPeer: false, transfer.IsRelayed);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "{Request} is cut short, so that containerd continues elsewhere: {Reason}")]
        public static partial void Cut(ILogger logger, MirrorRequest request, string reason);

        [LoggerMessage(LogLevel.Error, "{Request} failed")]
        public static partial void Failed(ILogger logger, Exception exception, MirrorRequest request);
    }
}
