using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Spectre.Console;
using SpegelDapr.Cli.Pull;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Cli.Demo;

/// <summary>
/// <c>spegel-dapr demo</c>: a cluster in this process pulls an image: one node of two zones after the other, or with <c>--storm</c> all nodes of one
/// zone at the same time.
/// </summary>
internal static class DemoCommand
{
    public static Command Create()
    {
        var image = new Option<string?>("--image") { Description = "An OCI image layout directory whose first image is pulled. Without it, an image of this program's own files and the runtime's." };
        var storm = new Option<string?>("--storm")
        {
            HelpName = "nodes",
            Description = $"Have this many nodes of one zone, {StormPlan.MinNodes} to {StormPlan.MaxNodes}, pull at the same time. Each node's link is limited, and the registry's. With 1, one node alone.",
        };
        var held = new Option<string?>("--held") { HelpName = "nodes", Description = "With --storm: how many of the nodes have the image before. The others pull it." };
        var slow = new Option<string?>("--slow") { HelpName = "nodes", Description = "With --storm: how many of the nodes have a link of a tenth of the rate." };
        var mode = new Option<string>("--mode") { Description = "How holders of the other zone are used.", DefaultValueFactory = _ => "isolated" };
        mode.AcceptOnlyFromAmong("isolated", "preferred", "adaptive");
        var boundary = new Option<string>("--boundary") { Description = "What mode isolated closes. The demo's zones are of one region.", DefaultValueFactory = _ => "zone" };
        boundary.AcceptOnlyFromAmong("zone", "region");
        var json = new Option<bool>("--json") { Description = "Print one JSON object." };
        var command = new Command("demo", "Run two zones of two nodes in this process, and see who serves an image to whom.") { image, storm, held, slow, mode, boundary, json };
        command.SetAction((parsed, cancellationToken) => RunAsync(
            parsed.GetValue(image),
            ParsePlan(parsed.GetValue(storm), parsed.GetValue(held), parsed.GetValue(slow)),
            new ZoneOptions { Mode = parsed.GetRequiredValue(mode), Boundary = parsed.GetRequiredValue(boundary) },
            parsed.GetValue(json),
            cancellationToken));
        return command;
    }

    private static StormPlan? ParsePlan(string? storm, string? held, string? slow)
    {
        if (storm is null)
        {
            var (name, text) = held is not null ? ("--held", held) : ("--slow", slow);
            return text is null ? null : throw new UserErrorException($"{name} is '{text}' without --storm: give the number of nodes with --storm too.");
        }

        var nodes = ParseCount(storm) is { } count and >= StormPlan.MinNodes and <= StormPlan.MaxNodes
            ? count
            : throw new UserErrorException($"--storm is '{storm}': give a number of nodes from {StormPlan.MinNodes} to {StormPlan.MaxNodes}.");
        return new StormPlan(nodes, ParsePart("--held", held, nodes), ParsePart("--slow", slow, nodes));
    }

    /// <summary>Some of the nodes, and not all: without one that pulls, or with nobody to be slower than, there is nothing to see.</summary>
    private static int ParsePart(string name, string? text, int nodes) =>
        text is null ? 0
        : ParseCount(text) is { } part && part < nodes ? part
        : throw new UserErrorException(
            $"{name} is '{text}' with --storm {nodes}: give a number of nodes from 0 to {nodes - 1}{(nodes == 1 ? ", or a greater --storm" : "")}.");

    private static int? ParseCount(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var count) ? count : null;

    private static async Task<int> RunAsync(string? imagePath, StormPlan? storm, ZoneOptions zones, bool json, CancellationToken cancellationToken)
    {
        var pulls = new List<DemoPull>();
        DemoResult result;
        var scratch = Directory.CreateTempSubdirectory("spegel-dapr-demo-");
        try
        {
            var upstream = await DemoUpstream.OpenAsync(imagePath, scratch, cancellationToken);
            if (storm is not null)
            {
                result = await StormDemo.RunAsync(upstream, scratch, storm, zones, show: !json, cancellationToken);
            }
            else
            {
                await PullOnAllNodesAsync(upstream, scratch, zones, json, pulls, cancellationToken);
                result = new DemoResult(pulls, Ok: true);
            }
        }
        catch (UserErrorException e) when (json)
        {
            result = new DemoResult(pulls, Ok: false, e.Message);
        }
        finally
        {
            scratch.Delete(recursive: true);
        }

        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(result, CliJson.Relaxed.DemoResult));
        }
        else if (result.Error is { } error)
        {
            throw new UserErrorException(error);
        }

        return result.Ok ? 0 : 1;
    }

    private static async Task PullOnAllNodesAsync(
        DemoUpstream upstream, DirectoryInfo scratch, ZoneOptions zones, bool json, List<DemoPull> pulls, CancellationToken cancellationToken)
    {
        if (!json)
        {
            AnsiConsole.WriteLine("Starting two zones of two nodes and a resolver each …");
        }

        await using var cluster = await DemoCluster.StartAsync(scratch, upstream, DemoPlan.TwoZones, zones, network: null, cancellationToken);
        foreach (var node in cluster.Nodes)
        {
            var result = await PullProgress.ShowAsync(!json, progress => node.PullAsync(DemoUpstream.Image, progress, cancellationToken));
            pulls.Add(DemoPull.Of(node.Identity, result));
            await node.WaitUntilAnnouncedAsync(
                [ContentKey.Parse(DemoUpstream.Image.ToString()), .. result.Blobs.Select(blob => ContentKey.FromDigest(blob.Digest))], cancellationToken);
            if (!json)
            {
                AnsiConsole.WriteLine($"{node.Identity.Name} in {node.Identity.Location.Zone} has it after {result.Seconds:0.00} s.");
            }
        }

        if (!json)
        {
            AnsiConsole.Write(PullReport.ByTier(
                ["node", "zone"], [.. pulls.Select(pull => ((IReadOnlyList<string>)[pull.Node, pull.Zone], pull.Bytes, pull.Relayed, pull.Seconds))]));
            AnsiConsole.WriteLine(zones is { ParsedMode: ZoneMode.Isolated, Boundary: "zone" }
                ? "The first node of a zone goes upstream, the next one has a neighbour."
                : "The first node goes upstream, the first of the other zone has a holder in the region, and the others a neighbour.");
        }
    }
}
