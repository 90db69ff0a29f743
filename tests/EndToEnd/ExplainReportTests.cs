using SpegelDapr.Cli.Explain;
using SpegelDapr.Contracts;

namespace SpegelDapr.EndToEnd;

public sealed class ExplainReportTests
{
    [Fact]
    public void It_names_the_decision_and_each_holder_with_what_is_known_of_it()
    {
        var digest = Digest.OfSha256([1]);
        var explanation = new Explanation(
            ContentKey.Parse("docker.io/library/app:1"),
            NodeName.Parse("node-a"),
            Location.Parse("eu/a"),
            "adaptive",
            "zone",
            Tier.SameRegion,
            "the holder to ask first: the peer is expected to cost less",
            8 << 20,
            [
                Candidate("node-b", "eu/b", Tier.SameRegion, isUsed: true, new ExplainedRoute(7, 0, 0.45, 0.05, 20 << 20)),
                Candidate("node-c", "us/a", Tier.CrossRegion, isUsed: false, new ExplainedRoute(0, 1.5)),
            ],
            new ExplainedUpstream(new ExplainedRoute(0, 0), "docker.io"),
            [],
            digest);
        using var output = new StringWriter { NewLine = "\n" };

        ExplainReport.Write(explanation, output);

        Assert.Equal(
            $"""
            docker.io/library/app:1
              stands for {digest}
              on node-a in eu/a, adaptive
              comes from same region: the holder to ask first: the peer is expected to cost less

              ✓ node-b in eu/b, same region: why
                  first byte after 0.050 s, 20.0 MiB/s, expected to take 0.450 s, 1 request under way
              ✗ node-c in us/a, cross region: why
                  priced like 1.500 s, 1 request under way
                docker.io, upstream
                  speed unknown

            """,
            output.ToString());
    }

    [Fact]
    public void It_shows_who_follows_whom_among_the_nodes_in_flight()
    {
        using var output = new StringWriter { NewLine = "\n" };

        ExplainReport.Write(
            InFlight(("node-b", null), ("node-e", "node-d"), ("node-c", "node-b"), ("node-d", "node-c"), ("node-a", null), ("node-f", "node-b")), output);

        Assert.EndsWith(
            """

              in flight in the zone
                node-b leads
                  node-c follows node-b
                    node-d follows node-c
                      node-e follows node-d
                  node-f follows node-b
                node-a leads

            """,
            output.ToString(),
            StringComparison.Ordinal);
    }

    [Fact]
    public void It_shows_each_node_in_flight_also_where_nobody_leads()
    {
        using var output = new StringWriter { NewLine = "\n" };

        ExplainReport.Write(InFlight(("node-a", "node-gone"), ("node-b", "node-c"), ("node-c", "node-b")), output);

        Assert.EndsWith(
            """
                node-a follows node-gone
                node-b follows node-c
                  node-c follows node-b

            """,
            output.ToString(),
            StringComparison.Ordinal);
    }

    private static Explanation InFlight(params (string Node, string? Parent)[] nodes) => new(
        ContentKey.FromDigest(Digest.OfSha256([1])),
        NodeName.Parse("node-a"),
        Location.Parse("eu/a"),
        "isolated",
        "zone",
        Tier.Upstream,
        "nobody in reach holds it",
        8 << 20,
        [],
        new ExplainedUpstream(new ExplainedRoute(0, 0)),
        [.. nodes.Select(node => new InFlightNode(NodeName.Parse(node.Node), DateTimeOffset.UnixEpoch, node.Parent is null ? null : NodeName.Parse(node.Parent)))]);

    private static ExplainedCandidate Candidate(string name, string location, Tier tier, bool isUsed, ExplainedRoute route) =>
        new(NodeName.Parse(name), Location.Parse(location), BlobAddress.Parse("http://10.0.0.1:5000"), tier, isUsed, "why", 1, route);
}
