using System.Text.Json;
using SpegelDapr.Cli.Demo;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary>The command line as a new user tries it.</summary>
public sealed class DemoTests
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "spegel-dapr.dll");
    private static readonly string[] Tiers = ["local", "sameZone", "sameRegion", "crossRegion", "upstream"];
    private static readonly Lazy<Task<string>> Storm = new(() => ExternalProcess.RunAsync("dotnet", [Program, "demo", "--storm", "4", "--json"]));

    [Fact]
    public async Task The_demos_second_node_of_a_zone_gets_the_whole_image_from_the_first()
    {
        var (exitCode, output) = await ExternalProcess.TryRunAsync("dotnet", [Program, "demo", "--json"]);

        Assert.True(exitCode == 0, output);
        using var result = JsonDocument.Parse(output);
        Assert.True(result.RootElement.GetProperty("ok").GetBoolean());
        var pulls = result.RootElement.GetProperty("pulls").EnumerateArray().ToList();
        Assert.Equal(4, pulls.Count);
        foreach (var (first, second) in new[] { (pulls[0], pulls[1]), (pulls[2], pulls[3]) })
        {
            var image = first.GetProperty("bytes").GetProperty("upstream").GetInt64();
            Assert.True(image > 1_000_000);
            Assert.Equal(first.GetProperty("zone").GetString(), second.GetProperty("zone").GetString());
            Assert.Equal(image, second.GetProperty("bytes").GetProperty("sameZone").GetInt64());
            Assert.Equal(0, second.GetProperty("bytes").GetProperty("upstream").GetInt64());
        }
    }

    [Theory]
    [InlineData("isolated", "zone", "upstream")]
    [InlineData("isolated", "region", "sameRegion")]
    [InlineData("preferred", "zone", "sameRegion")]
    [InlineData("adaptive", "zone", "sameRegion")]
    public async Task The_first_node_of_the_other_zone_pulls_as_the_mode_says(string mode, string boundary, string tier)
    {
        var output = await ExternalProcess.RunAsync("dotnet", [Program, "demo", "--json", "--mode", mode, "--boundary", boundary]);

        using var result = JsonDocument.Parse(output);
        var pulls = result.RootElement.GetProperty("pulls").EnumerateArray().Select(pull => pull.GetProperty("bytes")).ToList();
        var image = pulls[0].GetProperty("upstream").GetInt64();
        Assert.Equal(image, pulls[2].GetProperty(tier).GetInt64());
        Assert.Equal(image, pulls[3].GetProperty("sameZone").GetInt64());
    }

    [Fact]
    public async Task In_a_storm_every_node_gets_the_whole_image()
    {
        using var result = JsonDocument.Parse(await Storm.Value);

        Assert.True(result.RootElement.GetProperty("ok").GetBoolean());
        var pulls = result.RootElement.GetProperty("pulls").EnumerateArray().ToList();
        Assert.Equal(["node-a1", "node-a2", "node-a3", "node-a4"], pulls.Select(pull => pull.GetProperty("node").GetString()));
        var images = pulls.Select(pull => Tiers.Sum(tier => pull.GetProperty("bytes").GetProperty(tier).GetInt64())).ToList();
        Assert.True(images[0] > 1_000_000);
        Assert.Single(images.Distinct());
        Assert.All(pulls.Zip(images), pull => Assert.InRange(pull.First.GetProperty("relayed").GetInt64(), 0, pull.Second));
    }

    [Fact]
    public async Task In_a_storm_each_layer_comes_from_upstream_once()
    {
        using var result = JsonDocument.Parse(await Storm.Value);

        Assert.Equal(DemoImage.Layers, result.RootElement.GetProperty("upstreamRequests").GetInt32());
        Assert.Contains(result.RootElement.GetProperty("pulls").EnumerateArray(), pull => pull.GetProperty("relayed").GetInt64() > 0);
    }

    [Fact]
    public async Task In_a_storm_it_is_said_who_fed_whom()
    {
        using var result = JsonDocument.Parse(await Storm.Value);

        var pulls = result.RootElement.GetProperty("pulls").EnumerateArray().ToList();
        Assert.True(result.RootElement.GetProperty("aloneSeconds").GetDouble() >= 4);
        Assert.All(pulls, pull => Assert.InRange(FedBy(pull).Sum(feed => feed.Bytes), 1_000_000, long.MaxValue));
        Assert.Contains(pulls.SelectMany(FedBy), feed => feed.Node is null);
        Assert.Contains(pulls.SelectMany(FedBy), feed => feed.Node is not null);
    }

    [Fact]
    public async Task What_a_node_holds_before_a_storm_comes_from_nodes_alone()
    {
        using var result = JsonDocument.Parse(await ExternalProcess.RunAsync("dotnet", [Program, "demo", "--storm", "3", "--held", "1", "--json"]));

        Assert.Equal(0, result.RootElement.GetProperty("upstreamRequests").GetInt32());
        var pulls = result.RootElement.GetProperty("pulls").EnumerateArray().ToList();
        Assert.Equal(["node-a2", "node-a3"], pulls.Select(pull => pull.GetProperty("node").GetString()));
        Assert.Contains(pulls.SelectMany(FedBy), feed => feed.Node == "node-a1");
        Assert.All(pulls.SelectMany(FedBy), feed => Assert.NotNull(feed.Node));
    }

    [Fact]
    public async Task A_storm_of_one_node_is_one_node_alone()
    {
        var output = await ExternalProcess.RunAsync("dotnet", [Program, "demo", "--storm", "1"]);

        Assert.Contains("× alone", output, StringComparison.Ordinal);
        Assert.Contains("node-a1 from the registry", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_demo_prints_a_table_for_people()
    {
        var output = await ExternalProcess.RunAsync("dotnet", [Program, "demo"]);

        Assert.Contains("same zone", output, StringComparison.Ordinal);
        Assert.Contains("upstream", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("pull", "Not An Image", "--mirror", "http://127.0.0.1:1")]
    [InlineData("pull", "nginx", "--mirror", "ftp://nowhere")]
    [InlineData("pull", "nginx", "--mirror", "http://127.0.0.1:1")]
    [InlineData("demo", "--image", "/nonexistent")]
    [InlineData("demo", "--storm", "0")]
    [InlineData("demo", "--held", "1")]
    [InlineData("demo", "--slow", "1")]
    [InlineData("demo", "--storm", "1", "--slow", "1")]
    [InlineData("demo", "--storm", "4", "--held", "4")]
    [InlineData("demo", "--storm", "4", "--slow", "-1")]
    [InlineData("demo", "--storm", "4", "--held", "some")]
    [InlineData("demo", "--storm", "33")]
    [InlineData("demo", "--storm", "many")]
    [InlineData("configure", "--mirror", "127.0.0.1:5000")]
    [InlineData("configure", "--mirror", "http://127.0.0.1:1", "--registry", "https://docker.io/library")]
    [InlineData("cleanup", "--certs-d", "certs.d")]
    [InlineData("explain", "Not A Key", "--mirror", "http://127.0.0.1:1")]
    [InlineData("explain", "nginx", "--mirror", "nowhere")]
    [InlineData("explain", "nginx", "--mirror", "http://127.0.0.1:1")]
    [InlineData("explain", "nginx", "--mirror", "http://127.0.0.1:1", "--registry", "no registry")]
    public async Task What_cannot_work_is_one_line_that_names_the_input(params string[] arguments)
    {
        var (exitCode, output) = await ExternalProcess.TryRunAsync("dotnet", [Program, .. arguments]);

        Assert.Equal(1, exitCode);
        Assert.DoesNotContain("   at ", output, StringComparison.Ordinal);
        Assert.Contains(arguments.First(argument => output.Contains(argument, StringComparison.Ordinal)), output, StringComparison.Ordinal);
    }

    private static IEnumerable<(string? Node, long Bytes)> FedBy(JsonElement pull) => pull.GetProperty("fedBy").EnumerateArray()
        .Select(feed => (feed.TryGetProperty("node", out var node) ? node.GetString() : null, feed.GetProperty("bytes").GetInt64()));
}
