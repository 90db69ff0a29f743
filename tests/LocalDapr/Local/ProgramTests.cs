using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Http.Json;
using SpegelDapr.LocalDapr.Tests.Support;

namespace SpegelDapr.LocalDapr.Tests.Local;

/// <summary>The program as a process of its own.</summary>
public sealed class ProgramTests : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("localdapr-test-").FullName;
    private readonly List<Process> _processes = [];
    private readonly ConcurrentQueue<string> _output = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (var process in _processes)
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
                await process.WaitForExitAsync();
            }

            process.Dispose();
        }

        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task Sidecars_that_are_processes_of_their_own_find_each_others_apps()
    {
        await using var target = new TestApp("target", []);
        await target.StartAsync();
        var port = FreePorts.Next();
        var resolution = Path.Combine(_directory, "resolution");
        // One dash or two: daprd takes both.
        Start("-app-id", "target", "--app-port", $"{target.Port}", "--dapr-http-port", "0", "--dapr-grpc-port", "0", "--resolution-dir", resolution, "--metrics-port", "1");
        Start("--app-id", "caller", "--dapr-http-port", $"{port}", "--dapr-grpc-port", "0", "--resolution-dir", resolution);

        using var http = new HttpClient();
        await Eventually.TrueAsync(async () =>
        {
            try
            {
                return (await http.GetAsync($"http://127.0.0.1:{port}/v1.0/invoke/target/method/x")).IsSuccessStatusCode;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        });

        _processes[0].Kill();
        await _processes[0].WaitForExitAsync();
        await Eventually.TrueAsync(async () => !(await http.GetAsync($"http://127.0.0.1:{port}/v1.0/invoke/target/method/x")).IsSuccessStatusCode);
    }

    [Fact]
    public async Task A_run_file_starts_its_apps_and_a_signal_leaves_none_behind()
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        await File.WriteAllTextAsync(Path.Combine(_directory, "dapr.yaml"), """
            version: 1
            apps:
              - appID: speaker
                appDirPath: .
                command: ["sh", "-c", "echo $APP_ID $DAPR_HTTP_PORT $WORD; sleep 1000 & echo child $!; wait"]
                env: { WORD: hello }
              - appID: short
                appDirPath: .
                command: ["sh", "-c", "exit 3"]
            """);
        var program = Start("run", "-f", _directory);

        await Eventually.TrueAsync(() => Task.FromResult(_output.Any(line => line.Contains("child", StringComparison.Ordinal))));
        Assert.Contains(_output, line => line.StartsWith("== APP - speaker == speaker ", StringComparison.Ordinal) && line.EndsWith(" hello", StringComparison.Ordinal));
        await Eventually.TrueAsync(() => Task.FromResult(_output.Any(line => line.Contains("The app short ended with exit code 3", StringComparison.Ordinal))));
        var child = int.Parse(_output.First(line => line.Contains("child", StringComparison.Ordinal)).Split(' ')[^1], System.Globalization.CultureInfo.InvariantCulture);

        using (var kill = Process.Start("kill", ["-TERM", $"{program.Id}"]))
        {
            await kill.WaitForExitAsync();
        }

        await program.WaitForExitAsync().WaitAsync(Eventually.Deadline);
        Assert.Equal(0, program.ExitCode);
        await Eventually.TrueAsync(() => Task.FromResult(!IsRunning(child)));
    }

    [Theory]
    [InlineData("--app-id is missing")]
    [InlineData("--app-protocol is 'grpc'", "--app-id", "a", "--app-protocol", "grpc")]
    [InlineData("does not exist", "--app-id", "a", "--resources-path", "/nowhere")]
    [InlineData("There is no run file", "run", "-f", "/nowhere/dapr.yaml")]
    public async Task What_is_wrong_is_one_line(string problem, params string[] args)
    {
        var program = Start(args);
        await program.WaitForExitAsync().WaitAsync(Eventually.Deadline);

        Assert.Equal(2, program.ExitCode);
        Assert.Contains(problem, Assert.Single(_output), StringComparison.Ordinal);
    }

    private static bool IsRunning(int id)
    {
        try
        {
            using var process = Process.GetProcessById(id);
            return !process.HasExited;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    private Process Start(params string[] args)
    {
        var start = new ProcessStartInfo("dotnet", [typeof(LocalDaprHost).Assembly.Location, .. args])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        var process = Process.Start(start)!;
        _processes.Add(process);
        process.OutputDataReceived += (_, line) => Keep(line.Data);
        process.ErrorDataReceived += (_, line) => Keep(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }

    private void Keep(string? line)
    {
        if (line is not null)
        {
            _output.Enqueue(line);
        }
    }
}
