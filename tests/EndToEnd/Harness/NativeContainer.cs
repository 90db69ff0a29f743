using System.Text.Json;
using System.Text.RegularExpressions;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>
/// A service as native code in a container of runc, confined as its pod confines it, with nothing beside it but the libraries it is linked
/// to: an image cannot be pulled where there is no registry. It shares this machine's network.
/// </summary>
internal sealed partial class NativeContainer : IAsyncDisposable
{
    /// <summary>By which tests/run.sh finds what tests have started.</summary>
    private const string Mark = "SPEGEL_DAPR_TEST_RUN";

    /// <summary>The images' user.</summary>
    private const int ImageUser = 1654;

    /// <summary>The user whose containerd's socket is.</summary>
    private const int Root = 0;

    private static readonly Lazy<Task<string>> Published = new(PublishAsync);
    private static readonly TimeSpan PublishBudget = TimeSpan.FromMinutes(20);

    private readonly string _directory;
    private readonly ExternalProcess _process;

    private NativeContainer(string directory, ExternalProcess process) => (_directory, _process) = (directory, process);

    /// <summary>All it has printed.</summary>
    public string Output => _process.Output;

    /// <summary>Starts a service.</summary>
    /// <param name="service">Its name, such as <c>Blob</c>.</param>
    /// <param name="directory">A directory for it, which exists.</param>
    /// <param name="mounts">The paths of this machine that it sees, at the same place, and whether it may write there.</param>
    /// <param name="settings">Its environment.</param>
    public static async Task<NativeContainer> StartAsync(
        string service, string directory, IReadOnlyDictionary<string, bool> mounts, IReadOnlyDictionary<string, string> settings)
    {
        var root = Path.Combine(directory, "rootfs");
        await CopyAsync(Path.Combine(await Published.Value, service, "service"), Path.Combine(root, "app/service"));
        // The kubelet gives these to each container.
        Directory.CreateDirectory(Path.Combine(root, "etc"));
        await File.WriteAllTextAsync(Path.Combine(root, "etc/resolv.conf"), "");
        await File.WriteAllTextAsync(Path.Combine(root, "etc/hosts"), "127.0.0.1 localhost\n");
        await File.WriteAllTextAsync(Path.Combine(directory, "config.json"), JsonSerializer.Serialize(Specification(service == "Discovery" ? Root : ImageUser, mounts, settings)));
        var process = ExternalProcess.Start(
            "container", directory, "runc", ["--root", Path.Combine(directory, "state"), "run", "--bundle", directory, $"spegel-dapr-{Guid.NewGuid():N}"]);
        return new NativeContainer(directory, process);
    }

    public async ValueTask DisposeAsync()
    {
        // runc passes the signal on; what it leaves behind when it is killed itself goes with delete.
        await _process.StopAsync();
        var states = Path.Combine(_directory, "state");
        foreach (var state in Directory.Exists(states) ? Directory.GetDirectories(states) : [])
        {
            await ExternalProcess.TryRunAsync("runc", ["--root", states, "delete", "--force", Path.GetFileName(state)]);
        }

        await _process.DisposeAsync();
    }

    private static async Task<string> PublishAsync() =>
        (await ExternalProcess.RunAsync("bash", [Checkout.Path("tests/native.sh")], PublishBudget)).Trim().Split('\n')[^1];

    /// <summary>Copies a program and the libraries it needs to where they are looked for. It opens OpenSSL's, for hashes too, only when it runs.</summary>
    private static async Task CopyAsync(string program, string target)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        File.Copy(program, target);
        var root = Path.GetDirectoryName(Path.GetDirectoryName(target))!;
        var openSsl = LibraryOfOpenSsl().Matches(await ExternalProcess.RunAsync("ldconfig", ["-p"])).Select(match => match.Groups[1].Value);
        var libraries = Library().Matches(await ExternalProcess.RunAsync("ldd", [program, .. openSsl]))
            .Select(match => match.Value.TrimEnd(':'))
            .Where(library => library != program)
            .Distinct();
        foreach (var library in libraries)
        {
            var copy = root + library;
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(library, copy);
        }
    }

    /// <summary>The container by the OCI runtime specification.</summary>
    private static object Specification(int user, IReadOnlyDictionary<string, bool> mounts, IReadOnlyDictionary<string, string> settings) => new
    {
        ociVersion = "1.0.2",
        process = new
        {
            user = new { uid = user, gid = user },
            args = new[] { "/app/service" },
            env = settings.Select(setting => $"{setting.Key}={setting.Value}").Append($"{Mark}={Environment.GetEnvironmentVariable(Mark)}"),
            cwd = "/",
            noNewPrivileges = true,
            capabilities = new { bounding = Array.Empty<string>() },
        },
        root = new { path = "rootfs", @readonly = true },
        mounts = new object[] { new { destination = "/proc", type = "proc", source = "proc" } }.Concat(mounts.Select(mount => new
        {
            destination = mount.Key,
            type = "bind",
            source = mount.Key,
            options = new[] { "bind", "nosuid", "nodev", mount.Value ? "rw" : "ro" },
        })),
        linux = new { namespaces = new[] { new { type = "mount" }, new { type = "pid" }, new { type = "ipc" } } },
    };

    [GeneratedRegex(@"/\S+")]
    private static partial Regex Library();

    [GeneratedRegex(@"=> (/\S+/lib(?:ssl|crypto)\.so\.3)$", RegexOptions.Multiline)]
    private static partial Regex LibraryOfOpenSsl();
}
