using System.Globalization;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>Dapr's own sidecar in LocalDapr's place, where DAPRD_PATH names it.</summary>
internal static class Daprd
{
    /// <summary>The program; null without one.</summary>
    public static string? Path { get; } = Environment.GetEnvironmentVariable("DAPRD_PATH") is { Length: > 0 } path ? path : null;

    /// <summary>
    /// A sidecar that finds the others by a database in the test's directory (components-contrib, nameresolution/sqlite) and not by mDNS, which leaves the
    /// machine. It has no control plane, so neither placement nor scheduler.
    /// </summary>
    /// <param name="program">daprd.</param>
    /// <param name="name">What its log is called.</param>
    /// <param name="directory">The test's directory.</param>
    /// <param name="flags">Those that LocalDapr has as well.</param>
    /// <param name="machine">Where it runs.</param>
    public static ServiceProcess Sidecar(string program, string name, TestDirectory directory, IReadOnlyList<string> flags, Machine machine)
    {
        var configuration = directory.File("daprd.yaml");
        File.WriteAllText(configuration, $$"""
            apiVersion: dapr.io/v1alpha1
            kind: Configuration
            metadata: { name: daprd }
            spec:
              nameResolution:
                component: sqlite
                version: v1
                configuration: { connectionString: '{{directory.File("names.db")}}' }
            """);
        return new ServiceProcess(
            name,
            directory.Path,
            program,
            [
                .. flags,
                "--config", configuration,
                "--dapr-internal-grpc-port", machine.NextPort().ToString(CultureInfo.InvariantCulture),
                "--metrics-port", machine.NextPort().ToString(CultureInfo.InvariantCulture),
                "--placement-host-address", "",
                "--scheduler-host-address", "",
            ],
            new Dictionary<string, string> { ["DAPR_HOST_IP"] = machine.Address },
            machine);
    }
}
