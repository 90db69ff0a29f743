using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Holders;
using SpegelDapr.Resolver.Resolving;

namespace SpegelDapr.Unit.Resolver;

public class HolderSelectionTests
{
    private static readonly Digest Old = Digest.OfSha256([1]);
    private static readonly Digest New = Digest.OfSha256([2]);
    private static readonly ContentKey Tag = ContentKey.Parse("docker.io/library/app:1");
    private static readonly Location Here = Location.Parse("eu/a");

    [Fact]
    public void The_nearest_come_first_and_the_asker_never()
    {
        var answer = Choose(Old, Held("far", "us/a"), Held("region", "eu/b"), Held("near", "eu/a"), Held("asker", "eu/a"));

        Assert.Equal(["near", "region", "far"], Names(answer));
        Assert.Equal([Tier.SameZone, Tier.SameRegion, Tier.CrossRegion], answer.Holders.Select(holder => holder.Tier));
        Assert.Null(answer.Digest);
    }

    [Fact]
    public void Equally_near_holders_share_the_load()
    {
        var holders = Enumerable.Range(0, 20).Select(i => Held($"node-{i}", "eu/a")).ToArray();
        var random = new Random(1);

        var firsts = Enumerable.Range(0, 400).Select(_ => Names(HolderSelection.Choose(Old, holders, Asker, Here, random)).First()).ToHashSet();

        Assert.Equal(holders.Length, firsts.Count);
    }

    [Fact]
    public void An_answer_has_at_most_eight_holders_and_they_are_the_nearest()
    {
        var answer = Choose(Old, [.. Enumerable.Range(0, 20).Select(i => Held($"far-{i}", "us/a")), .. Enumerable.Range(0, 6).Select(i => Held($"near-{i}", "eu/a"))]);

        Assert.Equal(8, answer.Holders.Count);
        Assert.Equal(6, answer.Holders.Count(holder => holder.Tier == Tier.SameZone));
    }

    [Fact]
    public void A_tag_stands_for_its_latest_digest_and_only_those_who_agree_hold_it()
    {
        var answer = Choose(Tag, Held("a", "eu/a", Old, minute: 1), Held("b", "us/a", New, minute: 2), Held("c", "eu/a", New, minute: 0));

        Assert.Equal(New, answer.Digest);
        Assert.Equal(["c", "b"], Names(answer));
    }

    [Fact]
    public void When_only_the_asker_has_the_latest_digest_it_is_told_so()
    {
        var answer = Choose(Tag, Held("asker", "eu/a", New, minute: 2), Held("b", "eu/a", Old, minute: 1));

        Assert.Equal(New, answer.Digest);
        Assert.Empty(answer.Holders);
    }

    [Fact]
    public void Without_holders_the_answer_is_empty()
    {
        Assert.Equal(new ResolvedKey(Tag, []).Digest, Choose(Tag).Digest);
        Assert.Empty(Choose(Tag).Holders);
    }

    private static NodeName Asker => NodeName.Parse("asker");

    private static ResolvedKey Choose(ContentKey key, params LiveHolder[] holders) => HolderSelection.Choose(key, holders, Asker, Here, new Random(1));

    private static LiveHolder Held(string name, string location, Digest? digest = null, int minute = 0) => new(
        new NodeIdentity(NodeName.Parse(name), Location.Parse(location), BlobAddress.Parse("http://10.0.0.1:5000")),
        digest,
        digest is null ? null : DateTimeOffset.UnixEpoch.AddMinutes(minute));

    private static IEnumerable<string> Names(ResolvedKey answer) => answer.Holders.Select(holder => holder.Node.Name.ToString());
}
