using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Pull;

/// <summary>What one manifest, configuration or layer took.</summary>
/// <param name="Digest">What was fetched.</param>
/// <param name="MediaType">Its media type.</param>
/// <param name="Size">Its size in bytes.</param>
/// <param name="Tier">Where its bytes came from; the last of them, when the connection broke on the way.</param>
/// <param name="Holder">The node they came from; null for upstream.</param>
/// <param name="Seconds">How long it took, from the request to the checked hash.</param>
/// <param name="Relayed">How many of its bytes came from a node that was still downloading them: all, or 0.</param>
internal sealed record FetchedBlob(Digest Digest, string MediaType, long Size, Tier Tier, string? Holder, double Seconds, long Relayed);

/// <summary>What pulling an image took.</summary>
/// <param name="Image">The image's reference.</param>
/// <param name="Seconds">From the first request to the last byte.</param>
/// <param name="Bytes">Bytes by tier, all kinds of content together.</param>
/// <param name="Relayed">How many of these bytes came from a node that was still downloading them.</param>
/// <param name="Blobs">Each piece of content that was fetched, in the order in which they came.</param>
internal sealed record PullResult(string Image, double Seconds, TierBytes Bytes, long Relayed, IReadOnlyList<FetchedBlob> Blobs);

/// <summary>Bytes by tier.</summary>
internal sealed record TierBytes(long Local, long SameZone, long SameRegion, long CrossRegion, long Upstream)
{
    /// <summary>Sums the bytes of <paramref name="blobs"/>.</summary>
    public static TierBytes Of(IReadOnlyCollection<FetchedBlob> blobs)
    {
        return new TierBytes(Sum(Tier.Local), Sum(Tier.SameZone), Sum(Tier.SameRegion), Sum(Tier.CrossRegion), Sum(Tier.Upstream));

        long Sum(Tier tier) => blobs.Where(blob => blob.Tier == tier).Sum(blob => blob.Size);
    }

    /// <summary>The bytes of one tier.</summary>
    public long this[Tier tier] => tier switch
    {
        Tier.Local => Local,
        Tier.SameZone => SameZone,
        Tier.SameRegion => SameRegion,
        Tier.CrossRegion => CrossRegion,
        Tier.Upstream => Upstream,
        _ => throw new ArgumentOutOfRangeException(nameof(tier), tier, null),
    };
}
