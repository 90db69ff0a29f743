using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.LocalDapr;

namespace SpegelDapr.EndToEnd;

/// <summary>The repository's dapr.yaml under <c>localdapr run -f</c>, with this test's ports and containerd.</summary>
public sealed class RunFileTests
{
    /// <summary>The ports that the run file names, the longest first so that none is taken for a part of another.</summary>
    private static readonly string[] Ports = ["50500", "50510", "50520", "3500", "3510", "3520", "5020", "9091", "9092", "9093"];

    private static readonly string Cli = Path.Combine(AppContext.BaseDirectory, "spegel-dapr.dll");

    [RealFact]
    public async Task One_node_runs_from_the_run_file_and_its_mirror_serves_what_containerd_has_pulled()
    {
        using var directory = new TestDirectory();
        await using var registry = new Registry(directory);
        await using var backend = new Backend(directory);
        await Task.WhenAll(registry.StartAsync(), backend.StartAsync());
        var mirror = new Uri($"http://127.0.0.1:{FreePorts.Next()}");
        await using var containerd = new Containerd(directory.Sub("node"), registry.Address, mirror);
        await containerd.StartAsync();
        var image = await new TestImages(directory, registry).PushAsync([1024 * 1024]);
        await using var run = ExternalProcess.Start(
            "run", directory.Path, "dotnet", [Path.Combine(AppContext.BaseDirectory, "SpegelDapr.LocalDapr.dll"), "run", "-f", WriteRunFile(directory, backend, containerd, mirror)]);
        await containerd.PullAsync(image.Reference);

        JsonDocument? result = null;
        await Eventually.HoldsAsync(
            "the mirror serves the image",
            async () =>
            {
                var (exitCode, output) = await ExternalProcess.TryRunAsync(
                    "dotnet", [Cli, "pull", image.Reference, "--mirror", mirror.ToString(), "--json"]);
                result = exitCode == 0 ? JsonDocument.Parse(output) : null;
                return result is not null;
            },
            TimeSpan.FromSeconds(60));

        Assert.True(result!.RootElement.GetProperty("bytes").GetProperty("local").GetInt64() > image.BlobBytes);
        result.Dispose();
        string[] explain = [Cli, "explain", image.Reference, "--mirror", mirror.ToString()];
        Assert.Contains("comes from local: the node has it", await ExternalProcess.RunAsync("dotnet", explain), StringComparison.Ordinal);
        using var explanation = JsonDocument.Parse(await ExternalProcess.RunAsync("dotnet", [.. explain, "--json"]));
        Assert.Equal("local", explanation.RootElement.GetProperty("decision").GetString());

        await run.StopAsync();
        Assert.Contains("discovery-home", run.Output, StringComparison.Ordinal);
        await Eventually.HoldsAsync("no app outlives the run", () => !Directory.EnumerateDirectories("/proc").Any(process => RunsFor(process, mirror)));
    }

    private static bool RunsFor(string process, Uri mirror)
    {
        try
        {
            return File.ReadAllText(Path.Combine(process, "environ")).Contains($"Node__Address={mirror.GetLeftPart(UriPartial.Authority)}", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>The run file with its commands run from the test's build, its paths made absolute and its ports and daemons those of this test.</summary>
    private static string WriteRunFile(TestDirectory directory, Backend backend, Containerd containerd, Uri mirror)
    {
        var text = File.ReadAllText(Checkout.Path("dapr.yaml"));
        foreach (var port in Ports)
        {
            text = Regex.Replace(text, $@"(?<=[: ]){port}\b", FreePorts.Next().ToString(CultureInfo.InvariantCulture));
        }

        text = text.Replace("http://127.0.0.1:5000", mirror.GetLeftPart(UriPartial.Authority), StringComparison.Ordinal)
            .Replace("/run/containerd/containerd.sock", containerd.Socket, StringComparison.Ordinal)
            .Replace("/var/lib/containerd/io.containerd.content.v1.content", containerd.ContentPath, StringComparison.Ordinal)
            .Replace("- components/redis\n    - components/common", "- " + backend.WriteResources(), StringComparison.Ordinal);
        foreach (var service in new[] { "Resolver", "Discovery", "Blob" })
        {
            text = text.Replace($"appDirPath: services/{service}\n    command: [\"dotnet\", \"run\", \"--no-launch-profile\"]", $"appDirPath: {directory.Sub("apps")}\n    command: [\"dotnet\", \"{Path.Combine(AppContext.BaseDirectory, $"SpegelDapr.{service}.dll")}\"]", StringComparison.Ordinal);
        }

        var path = directory.File("dapr.yaml");
        File.WriteAllText(path, text);
        return path;
    }
}
