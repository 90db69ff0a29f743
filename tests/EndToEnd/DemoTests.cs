using System.Text.Json;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary>The command line as a new user tries it.</summary>
public sealed class DemoTests
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "spegel-dapr.dll");

    [Fact]
    public async Task The_demos_second_node_of_a_zone_gets_the_whole_image_from_the_first()
    {
        var (exitCode, output) = await ExternalProcess.TryRunAsync("dotnet", [Program, "demo", "--json"]);

        Assert.Equal(0, exitCode);
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
}
