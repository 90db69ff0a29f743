using FsCheck;
using FsCheck.Fluent;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Content;

namespace SpegelDapr.Unit.Discovery;

/// <summary>Content for tests.</summary>
internal static class Some
{
    public static NodeIdentity Node { get; } = new(NodeName.Parse("node-a"), Location.Parse("eu/eu-1"), BlobAddress.Parse("http://10.0.0.1:5000"));

    public static Digest Digest(int number) => Contracts.Digest.OfSha256(BitConverter.GetBytes(number));

    public static HeldKey Tag(string name, int digest, DateTimeOffset? updatedAt = null) => new(ContentKey.Parse($"docker.io/library/{name}"), Digest(digest), updatedAt);

    /// <summary>What sources may report, each with whether it is taken right after.</summary>
    public static Gen<List<(ContentChange Change, bool IsTaken)>> Histories
    {
        get
        {
            var digest = Gen.Choose(0, 8).Select(Digest);
            var held = Gen.OneOf(
                digest.Select(d => new HeldKey(d)),
                from tag in Gen.Choose(0, 3)
                from target in Gen.Choose(0, 3)
                from day in Gen.Choose(0, 2)
                select Tag($"app:{tag}", target, DateTimeOffset.UnixEpoch.AddDays(day)));
            var change = Gen.OneOf(
                digest.Select(ContentChange (d) => new ContentAdded(d)),
                digest.Select(ContentChange (d) => new ContentRemoved(d)),
                held.ListOf().Select(ContentChange (keys) => new ContentListed([.. keys.DistinctBy(key => key.Key)])));
            return change.SelectMany(c => Gen.Elements(true, false).Select(isTaken => (c, isTaken))).ListOf().Select(history => history.ToList());
        }
    }
}
