using System.CommandLine;
using System.Text.Json;
using Spectre.Console;
using SpegelDapr.Cli.Images;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Pull;

/// <summary><c>spegel-dapr pull</c>: pulls an image through a running mirror and says where its bytes came from.</summary>
internal static class PullCommand
{
    public static Command Create()
    {
        var image = new Argument<string>("image") { Description = "The image, such as docker.io/library/nginx:1.27." };
        var mirror = new Option<string>("--mirror") { Description = "The mirror's address, such as http://127.0.0.1:5000.", Required = true };
        var upstream = new Option<string?>("--upstream") { Description = "A registry to go to for what the mirror does not have, as containerd would. Without it, that is an error." };
        var output = new Option<string?>("--output") { Description = "Keep the image in this OCI image layout directory. Without it, what was pulled is thrown away." };
        var json = new Option<bool>("--json") { Description = "Print one JSON object." };
        var command = new Command("pull", "Pull an image through a mirror, and print which node served each blob.") { image, mirror, upstream, output, json };
        command.SetAction((parsed, cancellationToken) => RunAsync(
            parsed.GetRequiredValue(image),
            parsed.GetRequiredValue(mirror),
            parsed.GetValue(upstream),
            parsed.GetValue(output),
            parsed.GetValue(json),
            cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(string image, string mirror, string? upstream, string? output, bool json, CancellationToken cancellationToken)
    {
        if (!ImageReference.TryParse(image, out var reference))
        {
            throw new UserErrorException($"'{image}' is not an image reference, such as docker.io/library/nginx:1.27.");
        }

        using var mirrorHttp = Servers.Connect("--mirror", mirror);
        using var upstreamHttp = upstream is null ? null : Servers.Connect("--upstream", upstream);
        List<RegistrySource> sources = [new(mirrorHttp, Tier.Local)];
        if (upstreamHttp is not null)
        {
            sources.Add(new RegistrySource(upstreamHttp, Tier.Upstream));
        }

        var scratch = output is null ? Directory.CreateTempSubdirectory("spegel-dapr-pull-") : null;
        try
        {
            var puller = new ImagePuller(sources, OciLayout.OpenOrCreate(output ?? scratch!.FullName), TimeProvider.System);
            var result = await PullProgress.ShowAsync(show: !json, progress => puller.PullAsync(reference, progress, cancellationToken));
            Print(result, json);
            return 0;
        }
        finally
        {
            scratch?.Delete(recursive: true);
        }
    }

    private static void Print(PullResult result, bool json)
    {
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(result, CliJson.Relaxed.PullResult));
            return;
        }

        AnsiConsole.Write(PullReport.ByBlob(result.Blobs));
        AnsiConsole.Write(PullReport.ByTier(["image"], [([result.Image], result.Bytes, result.Relayed, result.Seconds)]));
    }
}
