using System.Globalization;
using Microsoft.Net.Http.Headers;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Http;

/// <summary>What is answered about content, wherever its bytes come from.</summary>
/// <param name="Digest">The content's digest.</param>
/// <param name="MediaType">Its media type.</param>
/// <param name="Length">Its whole length in bytes.</param>
/// <param name="Tier">How far its bytes come.</param>
/// <param name="Holder">The node they come from.</param>
/// <param name="IsRelayed">Whether that node is still downloading it.</param>
/// <param name="InPieces">Whether the body is in <see cref="Pieces"/>.</param>
internal sealed record ContentResponse(
    Digest Digest, string MediaType, long Length, Tier Tier, NodeName Holder, bool IsRelayed = false, bool InPieces = false)
{
    public const string BlobMediaType = "application/octet-stream";

    /// <summary>
    /// The range that a request asks for; null when it wants the whole. An <c>If-Range</c> that names another digest asks for the whole.
    /// </summary>
    public static ByteRange? RangeOf(HttpRequest request, Digest digest) =>
        request.Headers.IfRange is { Count: > 0 } validator && validator != ETagOf(digest) ? null : ByteRange.Parse(request.Headers.Range);

    /// <summary>Whether who asks can read a blob in <see cref="Pieces"/>.</summary>
    public static bool TakesPieces(HttpRequest request) =>
        request.Headers.ContainsKey(SpegelHeaders.Follow) && request.Headers.ContainsKey(SpegelHeaders.Pieces);

    /// <summary>Whether a range is all that follows its first byte: what is asked for by who has the beginning.</summary>
    public static bool IsRest(ByteRange? range) => range is { First: > 0, Last: null };

    /// <summary>
    /// Sets status and headers of the answer, and sends it when it has no body (HEAD, 304) or an error's (416). Otherwise the answer is
    /// the part of the content that the body must consist of.
    /// </summary>
    public async Task<(long Offset, long Count)?> BeginAsync(HttpContext context, ByteRange? range)
    {
        var response = context.Response;
        response.Headers["Docker-Content-Digest"] = Digest.ToString();
        response.Headers.ETag = ETagOf(Digest);
        response.Headers.AcceptRanges = "bytes";
        response.Headers[SpegelHeaders.Tier] = Tier.Name();
        response.Headers[SpegelHeaders.Holder] = Holder.ToString();
        if (IsRelayed)
        {
            response.Headers[SpegelHeaders.Relayed] = "1";
        }

        if (IsKnownToClient(context.Request))
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return null;
        }

        var isHead = HttpMethods.IsHead(context.Request.Method);
        (long Offset, long Count) part = (0, Length);

        // RFC 9110, section 14.2: a Range counts for GET only.
        if (range is not null && !isHead)
        {
            if (range.Within(Length) is not { } inside)
            {
                response.Headers.ContentRange = string.Create(CultureInfo.InvariantCulture, $"bytes */{Length}");
                await OciError.RangeNotSatisfiable(Length).WriteAsync(response);
                return null;
            }

            part = inside;
            response.StatusCode = StatusCodes.Status206PartialContent;
            response.Headers.ContentRange = ByteRange.ContentRange(part.Offset, part.Count, Length);
        }

        response.ContentType = MediaType;
        if (InPieces && !isHead)
        {
            response.Headers[SpegelHeaders.Pieces] = part.Count.ToString(CultureInfo.InvariantCulture);
            return part;
        }

        // containerd 2.1 and later take the length of an open-ended range as leave to ask for the rest in several requests at once, and a pull fails with
        // the first that is not answered (core/remotes/docker/fetcher.go, with concurrent_layer_fetch_buffer). Content-Range says it to all others.
        response.ContentLength = IsRest(range) && !isHead && !context.Request.Headers.ContainsKey(SpegelHeaders.Peer) ? null : part.Count;
        return isHead ? null : part;
    }

    private static string ETagOf(Digest digest) => $"\"{digest}\"";

    private bool IsKnownToClient(HttpRequest request) =>
        request.Headers.IfNoneMatch is { Count: > 0 } header
        && EntityTagHeaderValue.TryParseList(header, out var tags)
        && tags.Any(tag => tag.Equals(EntityTagHeaderValue.Any) || tag.Tag == ETagOf(Digest));
}
