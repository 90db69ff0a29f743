using System.Diagnostics;
using System.Runtime.InteropServices;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A program that a test has started, with what it prints in a file.</summary>
internal sealed partial class ExternalProcess : IAsyncDisposable
{
    private const int SigTerm = 15;
    private const int SigStop = 19;
    private const int SigContinue = 18;

    private static readonly TimeSpan StopBudget = TimeSpan.FromSeconds(15);

    private readonly Process _process;
    private readonly StreamWriter _log;

    private ExternalProcess(string name, Process process, StreamWriter log) => (Name, _process, _log) = (name, process, log);

    /// <summary>What it is to the test.</summary>
    public string Name { get; }

    /// <summary>Its process id.</summary>
    public int Id => _process.Id;

    /// <summary>Whether it has ended.</summary>
    public bool HasExited => _process.HasExited;

    /// <summary>All it has printed so far.</summary>
    public string Output
    {
        get
        {
            lock (_log)
            {
                _log.Flush();
                using var reader = new StreamReader(new FileStream(((FileStream)_log.BaseStream).Name, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
                return reader.ReadToEnd();
            }
        }
    }

    /// <summary>Starts a program whose output goes to <c>name.log</c> in <paramref name="logs"/>, after what an earlier start left there.</summary>
    public static ExternalProcess Start(
        string name,
        string logs,
        string file,
        IEnumerable<string> arguments,
        IEnumerable<KeyValuePair<string, string>>? environment = null,
        string? directory = null,
        Machine? on = null)
    {
        (file, arguments) = (on ?? Machine.Local).Command(file, arguments);
        var start = new ProcessStartInfo(file, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            WorkingDirectory = directory ?? logs,
        };
        foreach (var (key, value) in environment ?? [])
        {
            start.Environment[key] = value;
        }

        var log = new StreamWriter(new FileStream(Path.Combine(logs, name + ".log"), FileMode.Append, FileAccess.Write, FileShare.Read));
        var process = new Process { StartInfo = start };
        void Keep(string? line)
        {
            if (line is not null)
            {
                lock (log)
                {
                    log.WriteLine(line);
                }
            }
        }

        process.OutputDataReceived += (_, e) => Keep(e.Data);
        process.ErrorDataReceived += (_, e) => Keep(e.Data);
        process.Start();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return new ExternalProcess(name, process, log);
    }

    /// <summary>Runs a program to its end, or to its SIGKILL by <paramref name="cancellation"/>, and returns what it printed.</summary>
    /// <exception cref="InvalidOperationException">It failed; the message has its output.</exception>
    public static async Task<string> RunAsync(
        string file, IEnumerable<string> arguments, TimeSpan? budget = null, Machine? on = null, CancellationToken cancellation = default)
    {
        (file, arguments) = (on ?? Machine.Local).Command(file, arguments);
        var (exitCode, output) = await TryRunAsync(file, arguments, budget, cancellation);
        return exitCode == 0 ? output : throw new InvalidOperationException($"{file} {string.Join(' ', arguments)} ended with {exitCode}: {output}");
    }

    /// <summary>Runs a program to its end, whatever its exit code.</summary>
    public static async Task<(int ExitCode, string Output)> TryRunAsync(
        string file, IEnumerable<string> arguments, TimeSpan? budget = null, CancellationToken cancellation = default)
    {
        using var process = Process.Start(new ProcessStartInfo(file, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true })!;
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(budget ?? TimeSpan.FromMinutes(2));
        try
        {
            process.StandardInput.Close();
            var output = process.StandardOutput.ReadToEndAsync(deadline.Token);
            var error = process.StandardError.ReadToEndAsync(deadline.Token);
            await process.WaitForExitAsync(deadline.Token);
            return (process.ExitCode, await output + await error);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }

    /// <summary>SIGTERM, and SIGKILL if it does not end in time.</summary>
    public async Task StopAsync()
    {
        Signal(SigTerm);
        using var deadline = new CancellationTokenSource(StopBudget);
        try
        {
            await _process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            await KillAsync();
        }
    }

    /// <summary>SIGKILL to it and all it has started.</summary>
    public async Task KillAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
        }

        await _process.WaitForExitAsync();
    }

    /// <summary>SIGSTOP: it keeps its connections and answers nothing.</summary>
    public void Freeze() => Signal(SigStop);

    /// <summary>SIGCONT.</summary>
    public void Thaw() => Signal(SigContinue);

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        _process.Dispose();
        await _log.DisposeAsync();
    }

    private void Signal(int signal)
    {
        if (!_process.HasExited)
        {
            _ = Kill(_process.Id, signal);
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int pid, int signal);
}
