using System.CommandLine;
using System.Text.Json;
using Spectre.Console;
using SpegelDapr.Cli.Images;
using SpegelDapr.Cli.Pull;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Cli.Demo;

/// <summary>
/// <c>spegel-dapr demo</c>: a cluster of two zones with two nodes each, in this process, pulls an image on one node after the other.
/// </summary>
internal static class DemoCommand
{
    private static readonly ImageReference DefaultReference = ImageReference.Parse("registry.demo/spegel-dapr/demo:latest");

    public static Command Create()
    {
        var image = new Option<string?>("--image") { Description = "An OCI image layout directory whose first image is pulled. Without it, an image of this program's own files." };
        var mode = new Option<string>("--mode") { Description = "How holders of the other zone are used.", DefaultValueFactory = _ => "isolated" };
        mode.AcceptOnlyFromAmong("isolated", "preferred", "adaptive");
        var boundary = new Option<string>("--boundary") { Description = "What mode isolated closes. The demo's zones are of one region.", DefaultValueFactory = _ => "zone" };
        boundary.AcceptOnlyFromAmong("zone", "region");
        var json = new Option<bool>("--json") { Description = "Print one JSON object." };
        var command = new Command("demo", "Run two zones of two nodes in this process, and see who serves an image to whom.") { image, mode, boundary, json };
        command.SetAction((parsed, cancellationToken) => RunAsync(
            parsed.GetValue(image),
            new ZoneOptions { Mode = parsed.GetRequiredValue(mode), Boundary = parsed.GetRequiredValue(boundary) },
            parsed.GetValue(json),
            cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(string? imagePath, ZoneOptions zones, bool json, CancellationToken cancellationToken)
    {
        var pulls = new List<DemoPull>();
        string? error = null;
        var scratch = Directory.CreateTempSubdirectory("spegel-dapr-demo-");
        try
        {
            await PullOnAllNodesAsync(imagePath, scratch, zones, json, pulls, cancellationToken);
        }
        catch (UserErrorException e) when (json)
        {
            error = e.Message;
        }
        finally
        {
            scratch.Delete(recursive: true);
        }

        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(new DemoResult(pulls, error is null, error), CliJson.Relaxed.DemoResult));
        }
        else
        {
            AnsiConsole.Write(PullReport.ByTier(["node", "zone"], pulls.Select(pull => ((IReadOnlyList<string>)[pull.Node, pull.Zone], pull.Bytes, pull.Seconds))));
            AnsiConsole.WriteLine(zones is { ParsedMode: ZoneMode.Isolated, Boundary: "zone" }
                ? "The first node of a zone goes upstream, the next one has a neighbour."
                : "The first node goes upstream, the first of the other zone has a holder in the region, and the others a neighbour.");
        }

        return error is null ? 0 : 1;
    }

    private static async Task PullOnAllNodesAsync(
        string? imagePath, DirectoryInfo scratch, ZoneOptions zones, bool json, List<DemoPull> pulls, CancellationToken cancellationToken)
    {
        var upstream = imagePath is null ? OciLayout.OpenOrCreate(Path.Combine(scratch.FullName, "upstream")) : OciLayout.Open(imagePath);
        var manifest = imagePath is null
            ? await DemoImage.CreateAsync(upstream, cancellationToken)
            : upstream.Images is [var first, ..] ? first : throw new UserErrorException($"The image layout '{imagePath}' has no image.");
        if (!json)
        {
            AnsiConsole.WriteLine("Starting two zones of two nodes and a resolver each …");
        }

        await using var cluster = await DemoCluster.StartAsync(scratch, upstream, DefaultReference, manifest, zones, cancellationToken);
        foreach (var node in cluster.Nodes)
        {
            var result = await PullProgress.ShowAsync(!json, progress => node.PullAsync(DefaultReference, progress, cancellationToken));
            pulls.Add(new DemoPull(node.Identity.Name.ToString(), node.Identity.Location.Region, node.Identity.Location.Zone, result.Seconds, result.Bytes));
            await node.WaitUntilAnnouncedAsync([ContentKey.Parse(DefaultReference.ToString()), .. result.Blobs.Select(blob => ContentKey.FromDigest(blob.Digest))], cancellationToken);
            if (!json)
            {
                AnsiConsole.WriteLine($"{node.Identity.Name} in {node.Identity.Location.Zone} has it after {result.Seconds:0.00} s.");
            }
        }
    }
}
