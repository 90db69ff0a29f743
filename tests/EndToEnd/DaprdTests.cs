using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary>How the harness starts Dapr's own sidecar. A script stands in for it, which only tells what it was given: daprd cannot be had everywhere.</summary>
public sealed class DaprdTests
{
    [Fact]
    public async Task It_gets_the_flags_of_LocalDapr_and_finds_others_in_the_tests_directory()
    {
        using var directory = new TestDirectory();
        var program = directory.File("daprd");
        File.WriteAllText(program, "#!/bin/sh\nprintf '[%s]' \"$DAPR_HOST_IP\" \"$@\"\necho\nexec sleep 60\n");
        await ExternalProcess.RunAsync("chmod", ["+x", program]);

        await using var sidecar = Daprd.Sidecar(program, "sidecar", directory, ["--app-id", "resolver-a", "--resources-path", "somewhere"], Machine.Local);
        sidecar.Start();
        await Eventually.HoldsAsync("the flags are told", () => sidecar.Output.Contains("scheduler", StringComparison.Ordinal));

        var configuration = directory.File("daprd.yaml");
        Assert.Matches(
            $@"\[127\.0\.0\.1\]\[--app-id\]\[resolver-a\]\[--resources-path\]\[somewhere\]\[--config\]\[{configuration}\]"
            + @"\[--dapr-internal-grpc-port\]\[\d+\]\[--metrics-port\]\[\d+\]\[--placement-host-address\]\[\]\[--scheduler-host-address\]\[\]",
            sidecar.Output);
        Assert.Contains($"component: sqlite\n    version: v1\n    configuration: {{ connectionString: '{directory.Path}", File.ReadAllText(configuration), StringComparison.Ordinal);
    }
}
