using System.Globalization;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary><c>tests/lab/lab.sh</c> as somebody uses it by hand.</summary>
public sealed class LabScriptTests : IDisposable
{
    private static readonly string Script = Checkout.Path("tests/lab/lab.sh");

    private readonly TestDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [LabFact]
    public async Task A_lab_whose_owner_was_killed_is_swept_with_all_that_runs_in_it_and_no_other_is()
    {
        await using var owner = StartSleeping("owner", Machine.Local);
        var (abandoned, machine) = await UpAsync(owner.Id);
        var (owned, _) = await UpAsync(Environment.ProcessId);
        try
        {
            await using var inside = StartSleeping("inside", machine);
            var left = Directory.CreateTempSubdirectory(abandoned + "-");
            await owner.KillAsync();

            await ExternalProcess.RunAsync(Script, ["sweep"]);

            await Eventually.HoldsAsync("what ran in the abandoned lab has ended", () => inside.HasExited);
            left.Refresh();
            Assert.False(left.Exists);
            Assert.Empty(NamespacesOf(abandoned));
            Assert.NotEmpty(NamespacesOf(owned));
        }
        finally
        {
            await ExternalProcess.RunAsync(Script, ["down", owned]);
        }

        Assert.Empty(NamespacesOf(owned));
    }

    [LabFact]
    public async Task Nothing_of_a_lab_is_in_the_namespace_of_who_built_it()
    {
        var before = await ExternalProcess.RunAsync("ip", ["-oneline", "link"]);
        var (lab, _) = await UpAsync(Environment.ProcessId);
        try
        {
            Assert.Equal(before, await ExternalProcess.RunAsync("ip", ["-oneline", "link"]));
        }
        finally
        {
            await ExternalProcess.RunAsync(Script, ["down", lab]);
        }
    }

    [LabFact]
    public async Task A_machines_own_link_can_be_limited_and_only_one_that_there_is()
    {
        var (lab, _) = await UpAsync(Environment.ProcessId);
        try
        {
            await ExternalProcess.RunAsync(Script, ["rate", lab, "zone-a", "node-1", "20"]);

            Assert.Contains("rate 20Mbit", await ExternalProcess.RunAsync("tc", ["-n", $"{lab}.zone-a", "qdisc", "show", "dev", "node-1"]), StringComparison.Ordinal);
            Assert.Contains("rate 20Mbit", await ExternalProcess.RunAsync("tc", ["-n", $"{lab}.zone-a-1", "qdisc", "show", "dev", "eth0"]), StringComparison.Ordinal);
            Assert.Equal(2, (await ExternalProcess.TryRunAsync(Script, ["rate", lab, "zone-a", "node-2", "20"])).ExitCode);
        }
        finally
        {
            await ExternalProcess.RunAsync(Script, ["down", lab]);
        }
    }

    [LabFact]
    public async Task A_machines_own_link_can_be_cut_and_only_one_that_there_is()
    {
        var (lab, _) = await UpAsync(Environment.ProcessId);
        try
        {
            Task<string> ShowAsync() => ExternalProcess.RunAsync("ip", ["-n", $"{lab}.zone-a-1", "-oneline", "link", "show", "dev", "eth0"]);

            await ExternalProcess.RunAsync(Script, ["cut", lab, "zone-a", "node-1"]);
            Assert.Contains("NO-CARRIER", await ShowAsync(), StringComparison.Ordinal);
            await ExternalProcess.RunAsync(Script, ["join", lab, "zone-a", "node-1"]);
            Assert.DoesNotContain("NO-CARRIER", await ShowAsync(), StringComparison.Ordinal);
            Assert.Equal(2, (await ExternalProcess.TryRunAsync(Script, ["cut", lab, "zone-a", "node-2"])).ExitCode);
        }
        finally
        {
            await ExternalProcess.RunAsync(Script, ["down", lab]);
        }
    }

    [Theory]
    [InlineData("up")]
    [InlineData("up", "zone-a")]
    [InlineData("up", "--owner", "0", "zone-a=1")]
    [InlineData("down", "spegel-dapr-lab-1-1-1")]
    [InlineData("down", "/")]
    [InlineData("fly")]
    public async Task What_cannot_be_done_is_one_line_that_says_why(params string[] arguments)
    {
        var (exitCode, output) = await ExternalProcess.TryRunAsync(Script, arguments);

        Assert.Equal(2, exitCode);
        Assert.Single(output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("tests/lab/lab.sh: ", output, StringComparison.Ordinal);
    }

    private static async Task<(string Lab, Machine Machine)> UpAsync(int owner)
    {
        var lines = (await ExternalProcess.RunAsync(Script, ["up", "--owner", owner.ToString(CultureInfo.InvariantCulture), "zone-a=1"])).Split('\n');
        return (lines[0], Machine.InNamespace("10.0.1.11", $"{lines[0]}.zone-a-1"));
    }

    private static List<string> NamespacesOf(string lab) => [.. Directory.EnumerateFiles("/run/netns", lab + ".*")];

    private ExternalProcess StartSleeping(string name, Machine machine) => ExternalProcess.Start(name, _directory.Path, "sleep", ["600"], on: machine);
}
