using System.Globalization;
using System.Net.Http.Headers;

namespace SpegelDapr.Blob.Http;

/// <summary>
/// A single range of a Range header (RFC 9110, section 14.1.2): from <paramref name="First"/> to <paramref name="Last"/>, both included;
/// without a last one to the end; without a first one the last <paramref name="Last"/> bytes.
/// </summary>
internal sealed record ByteRange(long? First, long? Last)
{
    /// <summary>The range of a header; null when there is none, or one to ignore: malformed, another unit, several ranges.</summary>
    public static ByteRange? Parse(string? header) =>
        RangeHeaderValue.TryParse(header, out var value)
        && value is { Unit: "bytes", Ranges: { Count: 1 } ranges }
        && ranges.First() is var range
            ? new ByteRange(range.From, range.To)
            : null;

    /// <summary>The part of content of that length; null when it is outside, which is status 416.</summary>
    public (long Offset, long Count)? Within(long length)
    {
        var (first, last) = (First, Last) switch
        {
            (null, var suffix) => (length - Math.Min(suffix!.Value, length), length - 1),
            (var from, null) => (from.Value, length - 1),
            var (from, to) => (from.Value, Math.Min(to.Value, length - 1)),
        };
        return first < length ? (first, last - first + 1) : null;
    }

    /// <summary>The value of a Content-Range header for that part of content of that length.</summary>
    public static string ContentRange(long offset, long count, long length) =>
        string.Create(CultureInfo.InvariantCulture, $"bytes {offset}-{offset + count - 1}/{length}");
}
