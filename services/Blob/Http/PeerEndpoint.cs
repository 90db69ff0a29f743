using System.Globalization;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Http;

/// <summary>
/// Answers other nodes: from local content only, or from what this node's containerd is downloading, so that no request goes in circles.
/// </summary>
internal sealed class PeerEndpoint(
    LocalContent local,
    Ingests ingests,
    Feeds feeds,
    FastestRate fastest,
    Routes routes,
    ReferrersAnswer referrers,
    ContentSender sender,
    PeersFed fed,
    IOptions<NodeOptions> node,
    IOptions<BlobOptions> options,
    BlobMetrics metrics)
{
    /// <summary>What a follower may lack without being behind: containerd writes 1 MiB at a time, and sockets hold some.</summary>
    private const long LeastBehindBytes = 4 * 1024 * 1024;

    private readonly Holder _self = new(node.Value.Identity, Tier.Local);

    /// <summary>Answers a request.</summary>
    public async Task<RequestOutcome> AnswerAsync(HttpContext context, MirrorRequest request)
    {
        var cancellation = context.RequestAborted;
        if (request.Digest is not { } digest)
        {
            return await ContentSender.MissAsync(context, request.Registry is null ? OciError.TagWithoutRegistry : OciError.Unknown(request.Kind));
        }

        if (request.Kind == ContentKind.Referrers)
        {
            await referrers.WriteAsync(context, digest);
            return RequestOutcome.Local;
        }

        var isGet = HttpMethods.IsGet(context.Request.Method);
        var follows = options.Value.Relay && context.Request.Headers.ContainsKey(SpegelHeaders.Follow);
        if (!isGet && follows)
        {
            return await TellProgressAsync(context, request, digest);
        }

        return await TrySendAsync(context, request, digest) is { } outcome ? outcome
            : isGet && follows ? await RelayAsync(context, request, digest)
            : await ContentSender.MissAsync(context, OciError.Unknown(request.Kind));
    }

    /// <summary>Answers with what the node has, or that it is still checking that; null when it has nothing to give.</summary>
    private async Task<RequestOutcome?> TrySendAsync(HttpContext context, MirrorRequest request, Digest digest)
    {
        var (file, isChecking) = await local.OpenForPeerAsync(digest, context.RequestAborted);
        using (file)
        {
            if (file is not null)
            {
                return await SendAsync(context, request, digest, file);
            }
        }

        if (!isChecking)
        {
            return null;
        }

        context.Response.Headers[SpegelHeaders.Checking] = "1";
        await OciError.StillChecking.WriteAsync(context.Response);
        return RequestOutcome.Checking;
    }

    private async Task<RequestOutcome> SendAsync(HttpContext context, MirrorRequest request, Digest digest, LocalFile file)
    {
        if (!HttpMethods.IsGet(context.Request.Method) || request.Kind != ContentKind.Blob)
        {
            return await sender.SendAsync(context, request, digest, file);
        }

        using var peer = TryFeed(context, digest, file.Length);
        return peer is null
            ? await DeclineAsync(context, fed.Of(digest))
            : await sender.SendAsync(context, request, digest, file, peer: peer);
    }

    private FedPeer? TryFeed(HttpContext context, Digest digest, long length)
    {
        var headers = context.Request.Headers;
        return fed.TryBegin(
            digest,
            length,
            PeerClaim.TryParse(headers[SpegelHeaders.Peer], out var claim) ? claim.Name : null,
            isReferred: headers.ContainsKey(SpegelHeaders.Refer),
            context.Connection.RemoteIpAddress);
    }

    /// <summary>
    /// Answers a node that follows this one, out of what containerd is downloading: with a blob as it grows, and with a manifest, whose type is in its
    /// bytes, when it is there whole.
    /// </summary>
    private async Task<RequestOutcome> RelayAsync(HttpContext context, MirrorRequest request, Digest digest)
    {
        var cancellation = context.RequestAborted;

        // Two that follow each other would both wait.
        if (PeerClaim.TryParse(context.Request.Headers[SpegelHeaders.Peer], out var asker) && feeds.ParentOf(digest)?.Node.Name == asker.Name)
        {
            return await DeclineAsync(context, []);
        }

        using (var download = await ingests.FindAsync(digest, cancellation))
        {
            if (download is not null && request.Kind == ContentKind.Blob)
            {
                // It would have to wait here, and may find a node that has come as far as itself.
                if (context.Request.Headers.ContainsKey(SpegelHeaders.Refer)
                    && ContentResponse.RangeOf(context.Request, digest)?.First > download.Progress + LeastBehindBytes)
                {
                    return await DeclineAsync(context, []);
                }

                using var peer = TryFeed(context, digest, download.Total);
                if (peer is null)
                {
                    return await DeclineAsync(context, fed.Of(digest));
                }

                var inPieces = ContentResponse.TakesPieces(context.Request);
                var response = new ContentResponse(digest, ContentResponse.BlobMediaType, download.Total, Tier.Local, _self.Node.Name, IsRelayed: true, inPieces);
                if (await response.BeginAsync(context, ContentResponse.RangeOf(context.Request, digest)) is var (offset, count))
                {
                    await (response.InPieces
                        ? sender.SendInPiecesAsync(context, offset, count, (buffer, at) => download.ReadAsync(buffer, at, cancellation), Sent, isRelayed: true)
                        : SendDownloadAsync(context, download, offset, count, Sent));
                }

                return RequestOutcome.Relayed;

                void Sent(int bytes, long upTo) => peer.Sent(bytes, isBehind: download.Progress - upTo > LeastBehindBytes);
            }

            if (download is not null && !await download.IsCommittedAsync(cancellation))
            {
                return await ContentSender.MissAsync(context, OciError.Unknown(request.Kind));
            }
        }

        return await TrySendAsync(context, request, digest) ?? await ContentSender.MissAsync(context, OciError.Unknown(request.Kind));
    }

    private static async Task<RequestOutcome> DeclineAsync(HttpContext context, IEnumerable<NodeName> referrals)
    {
        context.Response.Headers[SpegelHeaders.Declined] = NodeNames.Join(referrals);
        await OciError.Declined.WriteAsync(context.Response);
        return RequestOutcome.Declined;
    }

    /// <summary>Answers a node that follows this one, or one that follows that, how far this node has come and from whom its bytes come.</summary>
    private async Task<RequestOutcome> TellProgressAsync(HttpContext context, MirrorRequest request, Digest digest)
    {
        var whole = local.Identify(digest)?.Length;
        if ((whole ?? ingests.ProgressOf(digest)) is not { } bytes)
        {
            return await ContentSender.MissAsync(context, OciError.Unknown(request.Kind));
        }

        var headers = context.Response.Headers;
        headers[SpegelHeaders.Holder] = _self.Node.Name.ToString();
        headers[SpegelHeaders.Progress] = bytes.ToString(CultureInfo.InvariantCulture);
        if (whole is null && feeds.ParentOf(digest) is var (parent, _))
        {
            headers[SpegelHeaders.Source] = parent.Name.ToString();
        }

        if (fed.FastestOf(fastest) is { } rate)
        {
            headers[SpegelHeaders.Fastest] = ((long)rate).ToString(CultureInfo.InvariantCulture);
        }

        if (request.Registry is { } registry && routes.RecentUpstream(registry) is { } upstream)
        {
            headers[SpegelHeaders.Upstream] = ((long)upstream).ToString(CultureInfo.InvariantCulture);
        }

        return RequestOutcome.Progress;
    }

    private async Task SendDownloadAsync(HttpContext context, GrowingFile download, long offset, long count, Action<int, long> told)
    {
        // The headers go at once, by which the follower knows that there is something to wait for.
        using var body = sender.BodyOf(context);
        await body.SendAsync(0);
        while (count > 0)
        {
            var read = (int)Math.Min(await download.ReadAsync(body.GetMemory(ContentSender.ChunkBytes), offset, context.RequestAborted), count);
            (offset, count) = (offset + read, count - read);
            await body.SendAsync(read);
            told(read, offset);
            metrics.Served(read, _self, ContentKind.Blob, toPeer: true, isRelayed: true);
        }
    }
}
