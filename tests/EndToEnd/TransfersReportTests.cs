using SpegelDapr.Cli.Explain;
using SpegelDapr.Contracts;

namespace SpegelDapr.EndToEnd;

public sealed class TransfersReportTests
{
    private static readonly Digest Layer = Digest.OfSha256([1]);
    private static readonly DateTimeOffset At = new(2026, 1, 2, 3, 4, 5, 678, TimeSpan.Zero);

    [Fact]
    public void It_says_where_each_part_came_from_and_who_was_passed_over()
    {
        var transfers = new RecordedTransfers(
            NodeName.Parse("node-a"),
            Location.Parse("eu/a"),
            [
                new RecordedTransfer(
                    At,
                    "blob",
                    "library/app",
                    "sameZone",
                    8 << 20,
                    2,
                    [Source("node-b", 3 << 20, isRelayed: true), Source("node-c", 5 << 20)],
                    [new RecordedCandidate(NodeName.Parse("node-d"), Location.Parse("us/a"), IsUsed: false, "it is outside the boundary")],
                    Layer,
                    "docker.io",
                    Reason: "the holder to ask first: it is in the same zone",
                    FirstByteSeconds: 0.012,
                    LongestWaitSeconds: 0.75),
                new RecordedTransfer(
                    At, "manifest", "library/app", "miss", 0, 0.004, [], [], Registry: "docker.io", Tag: "1", Reason: "nobody in reach holds it", Upstream: new RecordedUpstream(1 << 20, 0.5)),
            ]);
        using var output = new StringWriter { NewLine = "\n" };

        TransfersReport.Write(transfers, output);

        Assert.Equal(
            $"""
            node-a in eu/a

              2026-01-02 03:04:05.678Z  blob of docker.io/library/app
                {Layer}
                same zone: 8.0 MiB in 2.000 s (4.0 MiB/s), first byte after 0.012 s, longest wait 0.750 s
                planned: the holder to ask first: it is in the same zone
                3.0 MiB from node-b in eu/a, same zone, which was downloading it
                5.0 MiB from node-c in eu/a, same zone
                ✗ node-d in us/a: it is outside the boundary

              2026-01-02 03:04:05.678Z  manifest of docker.io/library/app:1
                miss after 0.004 s
                planned: nobody in reach holds it
                1.0 MiB from the registry in 0.500 s (2.0 MiB/s)

            """,
            output.ToString());
    }

    private static RecordedSource Source(string node, long bytes, bool isRelayed = false) =>
        new(NodeName.Parse(node), Location.Parse("eu/a"), Tier.SameZone, bytes, isRelayed);
}
