using System.Globalization;
using Spectre.Console;
using SpegelDapr.Cli.Explain;
using SpegelDapr.Cli.Pull;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Cli.Demo;

/// <summary>
/// <c>spegel-dapr demo --storm N</c>: all nodes of one zone pull an image at the same time that none of them has, from a registry that is slow
/// enough to watch.
/// </summary>
internal static class StormDemo
{
    /// <summary>The fewest nodes: one that leads and one that follows.</summary>
    public const int MinNodes = 2;

    /// <summary>The most nodes that one process should be asked to run.</summary>
    public const int MaxNodes = 32;

    /// <summary>What the image takes to come from the registry once.</summary>
    private static readonly TimeSpan Duration = TimeSpan.FromSeconds(6);

    /// <summary>Runs it, and prints what has happened if <paramref name="show"/>.</summary>
    /// <exception cref="UserErrorException">There is no image, or the cluster does not start. A pull that fails is in the result.</exception>
    public static async Task<DemoResult> RunAsync(
        DemoUpstream upstream, DirectoryInfo scratch, int nodes, ZoneOptions zones, bool show, CancellationToken cancellationToken)
    {
        var content = upstream.ReadContent();
        await using var link = new RegistryLink((long)(content.Bytes / Duration.TotalSeconds));
        if (show)
        {
            AnsiConsole.WriteLine($"Starting one zone of {nodes} nodes and a resolver …");
        }

        await using var cluster = await DemoCluster.StartAsync(scratch, upstream, DemoPlan.OneZone(nodes), zones, link, cancellationToken);
        if (show)
        {
            AnsiConsole.WriteLine(
                $"All pull {PullReport.Size(content.Bytes)} at once, from a registry limited to {PullReport.Size(link.BytesPerSecond)}/s in all.");
        }

        var biggest = content.Layers.MaxBy(layer => layer.Size);
        var watch = biggest is null ? null : new InFlightWatch(cluster.Nodes[0], biggest.Digest);
        var pulls = await StormProgress.ShowAsync(
            show, [.. cluster.Nodes.Select(node => node.Identity.Name)], content.Bytes, progress => PullOnAllAsync(cluster, watch, progress, cancellationToken));
        var result = new DemoResult(
            [.. pulls.Select(pull => pull.Done).OfType<DemoPull>()],
            pulls.All(pull => pull.Error is null),
            pulls.FirstOrDefault(pull => pull.Error is not null).Error,
            content.Layers.Sum(layer => link.GetsOf(layer.Digest)));
        if (show)
        {
            Write(result, content, biggest, watch?.Most ?? []);
        }

        return result;
    }

    private static async Task<IReadOnlyList<(DemoPull? Done, string? Error)>> PullOnAllAsync(
        DemoCluster cluster, InFlightWatch? watch, IStormProgress progress, CancellationToken cancellationToken)
    {
        var pulls = Task.WhenAll(cluster.Nodes.Select(node => PullAsync(node, progress.Of(node.Identity.Name), cancellationToken)));
        await Task.WhenAll(pulls, watch is null ? Task.CompletedTask : watch.RunAsync(pulls, progress.Report, cancellationToken));
        return await pulls;
    }

    private static async Task<(DemoPull? Done, string? Error)> PullAsync(DemoNode node, IPullProgress progress, CancellationToken cancellationToken)
    {
        try
        {
            return (DemoPull.Of(node.Identity, await node.PullAsync(DemoUpstream.Image, progress, cancellationToken)), null);
        }
        catch (UserErrorException e)
        {
            return (null, $"{node.Identity.Name}: {e.Message}");
        }
    }

    private static void Write(DemoResult result, DemoContent content, OciDescriptor? biggest, IReadOnlyList<InFlightNode> inFlight)
    {
        AnsiConsole.Write(PullReport.ByTier(
            ["node"], [.. result.Pulls.Select(pull => ((IReadOnlyList<string>)[pull.Node], pull.Bytes, pull.Relayed, pull.Seconds))]));
        if (result.Pulls.Any(pull => pull.Relayed > 0))
        {
            AnsiConsole.WriteLine("Relayed bytes came from a node that was still downloading them.");
        }

        AnsiConsole.WriteLine(string.Create(CultureInfo.InvariantCulture, $"The registry was asked {result.UpstreamRequests} times for {content.Layers.Count} layers."));
        if (biggest is null)
        {
            return;
        }

        var layer = $"the biggest layer, {PullReport.ShortDigest(biggest.Digest)} of {PullReport.Size(biggest.Size)}";
        AnsiConsole.WriteLine(inFlight.Count == 0 ? $"Nobody led or followed for {layer}." : $"Who led and who followed for {layer}:");
        foreach (var line in InFlightTree.Lines(inFlight))
        {
            Console.WriteLine($"  {line}");
        }
    }
}
