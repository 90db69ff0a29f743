using System.Globalization;
using Spectre.Console;
using SpegelDapr.Cli.Explain;
using SpegelDapr.Cli.Pull;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Cli.Demo;

/// <summary>
/// <c>spegel-dapr demo --storm N</c>: all nodes of one zone pull an image at the same time, over links that are slow enough to watch.
/// </summary>
internal static class StormDemo
{
    /// <summary>The most that a link carries in a second: 100 Mbit.</summary>
    private const long MostRate = 100_000_000 / 8;

    /// <summary>What an image takes over a link at least.</summary>
    private static readonly TimeSpan LeastDuration = TimeSpan.FromSeconds(4);

    /// <summary>Runs it, and prints what has happened if <paramref name="show"/>.</summary>
    /// <exception cref="UserErrorException">There is no image, or the cluster does not start. A pull that fails is in the result.</exception>
    public static async Task<DemoResult> RunAsync(
        DemoUpstream upstream, DirectoryInfo scratch, StormPlan plan, ZoneOptions zones, bool show, CancellationToken cancellationToken)
    {
        var content = upstream.ReadContent();
        var rate = Math.Min(MostRate, (long)(content.Bytes / LeastDuration.TotalSeconds));
        await using var network = new DemoNetwork(rate, plan.Rates(rate));
        if (show)
        {
            AnsiConsole.WriteLine($"Starting one zone of {(plan.Nodes == 1 ? "1 node" : $"{plan.Nodes} nodes")} and a resolver …");
        }

        await using var cluster = await DemoCluster.StartAsync(scratch, upstream, plan.Cluster, zones, network, cancellationToken);
        var holders = cluster.Nodes.Take(plan.Held).ToList();
        foreach (var holder in holders)
        {
            await HoldAsync(holder, cancellationToken);
        }

        if (show)
        {
            WritePlan(plan, cluster.Nodes, content, rate);
        }

        network.Begin();
        var pulling = cluster.Nodes.Skip(plan.Held).ToList();
        var pulls = await StormProgress.ShowAsync(
            show,
            [.. pulling.Select(node => node.Identity.Name)],
            content.Bytes,
            node => network.LatestOf(node)?.ToString() ?? DemoFeed.Registry,
            progress => Task.WhenAll(pulling.Select(node => PullAsync(node, network, content, progress.Of(node.Identity.Name), cancellationToken))));
        var result = new DemoResult(
            [.. pulls.Select(pull => pull.Done).OfType<DemoPull>()],
            pulls.All(pull => pull.Error is null),
            pulls.FirstOrDefault(pull => pull.Error is not null).Error,
            content.Layers.Sum(layer => network.RegistryGetsOf(layer.Digest)),
            content.Bytes / (double)rate);
        if (show)
        {
            Write(result, content);
            WriteTree(network, content, holders, pulling);
        }

        return result;
    }

    private static async Task HoldAsync(DemoNode node, CancellationToken cancellationToken)
    {
        var pull = await node.PullAsync(DemoUpstream.Image, PullProgress.None, cancellationToken);
        await node.WaitUntilAnnouncedAsync(
            [ContentKey.Parse(DemoUpstream.Image.ToString()), .. pull.Blobs.Select(blob => ContentKey.FromDigest(blob.Digest))], cancellationToken);
    }

    private static async Task<(DemoPull? Done, string? Error)> PullAsync(
        DemoNode node, DemoNetwork network, DemoContent content, IPullProgress progress, CancellationToken cancellationToken)
    {
        try
        {
            var pull = DemoPull.Of(node.Identity, await node.PullAsync(DemoUpstream.Image, progress, cancellationToken));
            return (pull with { FedBy = network.FeedsOf(node.Identity.Name, [.. content.Layers.Select(layer => layer.Digest)]) }, null);
        }
        catch (UserErrorException e)
        {
            return (null, $"{node.Identity.Name}: {e.Message}");
        }
    }

    private static void WritePlan(StormPlan plan, IReadOnlyList<DemoNode> nodes, DemoContent content, long rate)
    {
        AnsiConsole.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"Each node's link carries {rate * 8 / 1e6:0.0} Mbit/s both ways, and so does the registry's."));
        Write(nodes.TakeLast(plan.Slow), "a tenth of that");
        Write(nodes.Take(plan.Held), "the image before");
        var size = PullReport.Size(content.Bytes);
        AnsiConsole.WriteLine(plan.Nodes - plan.Held is var pulling and > 1 ? $"{pulling} nodes pull {size} at once." : $"1 node pulls {size}.");

        static void Write(IEnumerable<DemoNode> some, string what)
        {
            if (some.Select(node => node.Identity.Name).ToList() is [var first, ..] all)
            {
                AnsiConsole.WriteLine(all.Count == 1 ? $"{first} has {what}." : $"{first} to {all[^1]} have {what}.");
            }
        }
    }

    private static void Write(DemoResult result, DemoContent content)
    {
        AnsiConsole.Write(PullReport.ByTier(
            ["node", "× alone"],
            [
                .. result.Pulls.Select(pull => (
                    (IReadOnlyList<string>)[pull.Node, string.Create(CultureInfo.InvariantCulture, $"{pull.Seconds / result.AloneSeconds:0.00}")],
                    pull.Bytes,
                    pull.Relayed,
                    pull.Seconds)),
            ]));
        AnsiConsole.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"One node alone takes {result.AloneSeconds:0.00} s by the rate of its link: see --storm 1."));
        if (result.Pulls.Any(pull => pull.Relayed > 0))
        {
            AnsiConsole.WriteLine("Relayed bytes came from a node that was still downloading them.");
        }

        AnsiConsole.WriteLine(string.Create(CultureInfo.InvariantCulture, $"The registry was asked {result.UpstreamRequests} times for {content.Layers.Count} layers."));
    }

    /// <summary>Each node below the one that gave it the most of the biggest layer.</summary>
    private static void WriteTree(DemoNetwork network, DemoContent content, IReadOnlyList<DemoNode> holders, IReadOnlyList<DemoNode> pulling)
    {
        if (content.Layers.MaxBy(layer => layer.Size) is not { } biggest)
        {
            return;
        }

        var feeds = pulling.ToDictionary(node => node.Identity.Name, node => network.FeedsOf(node.Identity.Name, [biggest.Digest]));
        var nodes = holders
            .Select(node => new InFlightNode(node.Identity.Name, default))
            .Concat(feeds.Select(fed => new InFlightNode(fed.Key, default, fed.Value is [{ Node: { } feeder }, ..] ? NodeName.Parse(feeder) : null)))
            .ToList();
        AnsiConsole.WriteLine($"Who fed whom with the biggest layer, {PullReport.ShortDigest(biggest.Digest)} of {PullReport.Size(biggest.Size)}:");
        foreach (var line in InFlightTree.Lines(nodes, Relation))
        {
            Console.WriteLine($"  {line}");
        }

        string Relation(InFlightNode node) =>
            !feeds.TryGetValue(node.Node, out var fed) ? $"{node.Node} had it before"
            : fed.Count == 0 ? $"{node.Node} got nothing"
            : $"{node.Node} from {string.Join(", ", fed.Select(feed => fed.Count == 1 ? feed.Name : $"{feed.Name} {PullReport.Size(feed.Bytes)}"))}";
    }
}
