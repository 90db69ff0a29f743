using System.Buffers;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Planning;
using SpegelDapr.Blob.Recording;
using SpegelDapr.Blob.Transfers;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Http;

/// <summary>Sends content: to the node's own containerd and to peers, from this node and from others.</summary>
internal sealed class ContentSender(
    Prefetch prefetch,
    OwnAddresses own,
    TransferSlots slots,
    IOptions<NodeOptions> node,
    BlobMetrics metrics,
    TimeProvider time,
    IHostApplicationLifetime lifetime)
{
    /// <summary>How much is read and sent at once. Measured on two cores: a quarter of it costs a fourth of the throughput through a peer.</summary>
    public const int ChunkBytes = VerifyingReader.HeldBackBytes;

    /// <summary>So much of a manifest is sent at once, so that what the client does not read waits in one copy and not in two.</summary>
    private const int ManifestChunkBytes = TransferSlots.SmallManifestBytes;

    private readonly Holder _self = new(node.Value.Identity, Tier.Local);

    /// <summary>Answers that there is no such content.</summary>
    public static async Task<RequestOutcome> MissAsync(HttpContext context, OciError error)
    {
        await error.WriteAsync(context.Response);
        return RequestOutcome.Miss;
    }

    /// <summary>What sends the body of an answer.</summary>
    public ResponseSender BodyOf(HttpContext context) => new(context, time, lifetime.ApplicationStopping);

    /// <summary>Sends what the node has.</summary>
    /// <param name="context">The request that is answered.</param>
    /// <param name="request">The same, as it was read.</param>
    /// <param name="digest">The content.</param>
    /// <param name="file">The node's copy.</param>
    /// <param name="recording">What is recorded of a request of the node's own containerd; null for one of a peer.</param>
    /// <param name="peer">The peer, where it takes a place; null for none.</param>
    public async Task<RequestOutcome> SendAsync(
        HttpContext context, MirrorRequest request, Digest digest, LocalFile file, TransferRecording? recording = null, FedPeer? peer = null)
    {
        var toPeer = recording is null;
        if (request.Kind == ContentKind.Blob)
        {
            var response = new ContentResponse(
                digest, ContentResponse.BlobMediaType, file.Length, Tier.Local, _self.Node.Name, InPieces: toPeer && ContentResponse.TakesPieces(context.Request));
            if (await response.BeginAsync(context, ContentResponse.RangeOf(context.Request, digest)) is var (offset, count))
            {
                await (response.InPieces
                    ? SendInPiecesAsync(context, offset, count, (buffer, at) => ValueTask.FromResult(Read(file, buffer.Span, at)), (sent, _) => peer?.Sent(sent, isBehind: true), isRelayed: false)
                    : SendFileAsync(context, file, offset, count, recording, peer));
            }

            return RequestOutcome.Local;
        }

        using var place = await TryTakeForManifestAsync(context, file.Length, toPeer);
        return place is not null && await TrySendManifestAsync(context, request, digest, file.ReadAll(), _self, recording, isRelayed: false)
            ? RequestOutcome.Local
            : await MissAsync(context, OciError.Unknown(request.Kind));
    }

    /// <summary>A place for a manifest of this length, to be held while its bytes are in memory; null when there is none, or it is too long.</summary>
    public Task<IDisposable?> TryTakeForManifestAsync(HttpContext context, long bytes, bool toPeer) =>
        bytes > OciManifest.MaxBytes
            ? Task.FromResult<IDisposable?>(null)
            : slots.TryTakeForManifestAsync(bytes, forNode: !toPeer && own.Contains(context.Connection.RemoteIpAddress), context.RequestAborted);

    /// <summary>Sends a manifest, whose bytes match its digest, and prepares for what it refers to; false when they are no manifest.</summary>
    public async Task<bool> TrySendManifestAsync(
        HttpContext context, MirrorRequest request, Digest digest, byte[] bytes, Holder from, TransferRecording? recording, bool isRelayed)
    {
        if (OciManifest.TryParse(bytes) is not { EffectiveMediaType: { } mediaType } manifest)
        {
            return false;
        }

        if (recording is null)
        {
            prefetch.ForPeer(manifest);
        }
        else
        {
            prefetch.ForNode(manifest, request.Registry);
        }

        var response = new ContentResponse(digest, mediaType, bytes.Length, from.Tier, from.Node.Name, isRelayed);
        if (await response.BeginAsync(context, ContentResponse.RangeOf(context.Request, digest)) is var (offset, count))
        {
            recording?.Came(from, count, isRelayed);
            using var body = BodyOf(context);
            for (var (sent, chunk) = (0, 0); sent < count; sent += chunk)
            {
                chunk = (int)Math.Min(ManifestChunkBytes, count - sent);
                bytes.AsSpan((int)offset + sent, chunk).CopyTo(body.GetMemory(chunk).Span);
                await body.SendAsync(chunk);
            }

            metrics.Served(count, from, ContentKind.Manifest, toPeer: recording is null, isRelayed);
        }

        return true;
    }

    /// <summary>Sends a part of a blob to another node in pieces, as it can be read.</summary>
    /// <param name="context">The request that is answered.</param>
    /// <param name="offset">Where in the content the part begins.</param>
    /// <param name="count">How many bytes it has.</param>
    /// <param name="read">Reads into a buffer of at least <see cref="ChunkBytes"/> what there is at an offset.</param>
    /// <param name="told">Is told how many bytes have been sent, and up to which place in the content.</param>
    /// <param name="isRelayed">Whether this node is still downloading it.</param>
    public async Task SendInPiecesAsync(
        HttpContext context, long offset, long count, Func<Memory<byte>, long, ValueTask<int>> read, Action<int, long> told, bool isRelayed)
    {
        using var body = BodyOf(context);
        var buffer = ArrayPool<byte>.Shared.Rent(ChunkBytes);
        try
        {
            // The headers go at once, by which who follows knows that there is something to wait for.
            await body.SendAsync(0);
            while (count > 0)
            {
                var sent = (int)Math.Min(await read(buffer, offset), count);
                if (sent == 0)
                {
                    throw new EndOfStreamException("The file became shorter while it was sent.");
                }

                await body.SendPiecesAsync(buffer.AsSpan(0, sent), offset);
                (offset, count) = (offset + sent, count - sent);
                told(sent, offset);
                metrics.Served(sent, _self, ContentKind.Blob, toPeer: true, isRelayed);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Reads what has been hashed, and nothing that has been written since.</summary>
    private static int Read(LocalFile file, Span<byte> buffer, long offset)
    {
        var read = file.Read(buffer, offset);
        return file.HasChanged ? throw new IOException("The file has changed while it was sent.") : read;
    }

    private async Task SendFileAsync(HttpContext context, LocalFile file, long offset, long count, TransferRecording? recording, FedPeer? peer)
    {
        // The file is read into the buffers that Kestrel sends from: measured over loopback, this is faster than sendfile.
        using var body = BodyOf(context);
        while (count > 0)
        {
            var chunk = body.GetMemory((int)Math.Min(ChunkBytes, count));
            var read = Read(file, chunk.Span[..(int)Math.Min(Math.Min(chunk.Length, ChunkBytes), count)], offset);
            if (read == 0)
            {
                throw new EndOfStreamException("The file became shorter while it was sent.");
            }

            (offset, count) = (offset + read, count - read);
            recording?.Came(_self, read, isRelayed: false);
            await body.SendAsync(read);
            peer?.Sent(read, isBehind: true);
            metrics.Served(read, _self, ContentKind.Blob, toPeer: recording is null);
        }
    }
}
