using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace SpegelDapr.LocalDapr.Running;

/// <summary>
/// An app's process. On Linux it leads a session of its own, so that signals reach what it starts (<c>dotnet run</c> starts the app as a child)
/// and nothing of it is left behind.
/// </summary>
internal sealed partial class AppProcess
{
    private const int SigTerm = 15;
    private const int SigKill = 9;
    private const string SetSid = "/usr/bin/setsid";
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(15);

    private readonly Process _process;
    private readonly bool _leadsGroup;
    private readonly TextWriter? _logFile;

    private AppProcess(string appId, Process process, bool leadsGroup, TextWriter? logFile, bool logsToConsole)
    {
        (AppId, _process, _leadsGroup, _logFile) = (appId, process, leadsGroup, logFile);
        Ended = WaitAsync(Task.WhenAll(CopyAsync(process.StandardOutput, logsToConsole), CopyAsync(process.StandardError, logsToConsole)));
    }

    public string AppId { get; }

    /// <summary>Ends with the process, with its exit code.</summary>
    public Task<int> Ended { get; }

    /// <exception cref="LocalDaprException">The program cannot be started.</exception>
    public static AppProcess Start(RunApp app, Sidecar sidecar)
    {
        var leads = OperatingSystem.IsLinux() && File.Exists(SetSid);
        var command = leads ? [SetSid, .. app.Command] : app.Command;
        var start = new ProcessStartInfo(command[0], command.Skip(1))
        {
            WorkingDirectory = app.Directory ?? "",
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in Variables(app.Sidecar, sidecar).Concat(app.Environment))
        {
            start.Environment[name] = value;
        }

        if (app.LogFile is { } path)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        }

        var logFile = app.LogFile is { } file ? TextWriter.Synchronized(new StreamWriter(file) { AutoFlush = true }) : null;
        try
        {
            return new AppProcess(app.Sidecar.AppId, Process.Start(start)!, leads, logFile, app.LogsToConsole);
        }
        catch (Win32Exception e)
        {
            logFile?.Dispose();
            throw new LocalDaprException($"The command '{string.Join(' ', app.Command)}' of {app.Sidecar.AppId} cannot be started: {e.Message}", e);
        }
    }

    /// <summary>Asks the process to end, and ends it and all that it started after a while.</summary>
    public async Task StopAsync()
    {
        Signal(SigTerm);
        try
        {
            await Ended.WaitAsync(Grace);
        }
        catch (TimeoutException)
        {
            // Killed below.
        }

        Signal(SigKill);
        await Ended;
        _process.Dispose();
        _logFile?.Dispose();
    }

    // What the Dapr CLI exports to an app (cli/pkg/standalone/run.go).
    private static IEnumerable<KeyValuePair<string, string>> Variables(AppSpec app, Sidecar sidecar)
    {
        yield return new("APP_ID", app.AppId);
        yield return new("APP_PROTOCOL", "http");
        yield return new("DAPR_HTTP_PORT", sidecar.HttpPort.ToString(CultureInfo.InvariantCulture));
        yield return new("DAPR_GRPC_PORT", sidecar.GrpcPort.ToString(CultureInfo.InvariantCulture));
        if (app.AppPort is { } port)
        {
            yield return new("APP_PORT", port.ToString(CultureInfo.InvariantCulture));
        }
    }

    private async Task<int> WaitAsync(Task output)
    {
        await _process.WaitForExitAsync();
        await output;
        return _process.ExitCode;
    }

    private async Task CopyAsync(StreamReader from, bool toConsole)
    {
        while (await from.ReadLineAsync() is { } line)
        {
            if (toConsole)
            {
                Console.WriteLine($"== APP - {AppId} == {line}");
            }

            if (_logFile is not null)
            {
                await _logFile.WriteLineAsync(line);
            }
        }
    }

    private void Signal(int signal)
    {
        if (_leadsGroup)
        {
            _ = Kill(-_process.Id, signal);
        }
        else if (!_process.HasExited)
        {
            if (signal == SigTerm && !OperatingSystem.IsWindows())
            {
                _ = Kill(_process.Id, signal);
            }
            else
            {
                _process.Kill(entireProcessTree: true);
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int processOrGroup, int signal);
}
