using System.Globalization;
using System.Text.RegularExpressions;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>
/// The containerd that the tests run: the system's, or the one in the folder that SPEGEL_DAPR_CONTAINERD names. With SPEGEL_DAPR_PARALLEL_FETCH,
/// a number of bytes, it fetches each layer in ranges of that size at the same time, which containerd before 2.1 cannot do.
/// </summary>
internal static partial class ContainerdRelease
{
    private static readonly string? Folder = Environment.GetEnvironmentVariable("SPEGEL_DAPR_CONTAINERD");
    private static readonly Lazy<Version> Installed = new(ReadVersion);

    /// <summary>The daemon's program.</summary>
    public static string Daemon { get; } = Program("containerd");

    /// <summary>The client's program.</summary>
    public static string Ctr { get; } = Program("ctr");

    /// <summary>The daemon's version.</summary>
    public static Version Version => Installed.Value;

    /// <summary>Whether it is containerd 2 or later.</summary>
    public static bool IsSecond => Version.Major >= 2;

    /// <summary>Where containerd finds the programs that it starts, when that is not the system's own path.</summary>
    public static IEnumerable<KeyValuePair<string, string>> DaemonEnvironment =>
        Folder is null ? [] : [new("PATH", $"{Folder}:{Environment.GetEnvironmentVariable("PATH")}")];

    /// <summary>The configuration of a daemon: containerd 2 names its plugins anew.</summary>
    /// <param name="directory">Where its files are.</param>
    /// <param name="socket">Its socket.</param>
    /// <param name="hosts">Its directory of registries.</param>
    /// <param name="asFirst">Write what containerd 1 reads, which containerd 2 reads too.</param>
    public static string Configuration(string directory, string socket, string hosts, bool asFirst = false)
    {
        var paths = $"""
            root = "{directory}/root"
            state = "{directory}/state"
            [grpc]
              address = "{socket}"
            [debug]
              level = "warn"
            [plugins."io.containerd.internal.v1.opt"]
              path = "{directory}/opt"
            # NRI's socket is one of the whole system, which daemons side by side take from each other.
            [plugins."io.containerd.nri.v1.nri"]
              disable = true

            """;
        var parallelFetch = int.Parse(Environment.GetEnvironmentVariable("SPEGEL_DAPR_PARALLEL_FETCH") is { Length: > 0 } bytes ? bytes : "0", CultureInfo.InvariantCulture);
        return IsSecond && !asFirst
            ? $"""
               version = 3
               {paths}
               [plugins."io.containerd.grpc.v1.cri"]
                 stream_server_port = "0"
               [plugins."io.containerd.transfer.v1.local"]
                 concurrent_layer_fetch_buffer = {parallelFetch}
                 config_path = "{hosts}"
               [plugins."io.containerd.cri.v1.images".registry]
                 config_path = "{hosts}"
               [plugins."io.containerd.cri.v1.images"]
                 concurrent_layer_fetch_buffer = {parallelFetch}

               """
            : $"""
               version = 2
               {paths}
               [plugins."io.containerd.grpc.v1.cri"]
                 stream_server_port = "0"
               [plugins."io.containerd.grpc.v1.cri".registry]
                 config_path = "{hosts}"

               """;
    }

    private static string Program(string name) => Folder is null ? name : Path.Combine(Folder, name);

    private static Version ReadVersion()
    {
        var (_, output) = ExternalProcess.TryRunAsync(Daemon, ["--version"]).GetAwaiter().GetResult();
        return Version.Parse(VersionNumber().Match(output) is { Success: true } number
            ? number.Value
            : throw new InvalidOperationException($"'{Daemon} --version' tells no version: {output}"));
    }

    [GeneratedRegex(@"\d+\.\d+\.\d+")]
    private static partial Regex VersionNumber();
}
