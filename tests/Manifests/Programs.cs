using System.Diagnostics;

namespace SpegelDapr.Manifests;

/// <summary>Programs of others that render manifests.</summary>
internal static class Programs
{
    private static readonly TimeSpan Budget = TimeSpan.FromMinutes(2);

    public static bool IsInstalled(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(directory => File.Exists(Path.Combine(directory, program)));

    /// <summary>What it prints on standard output.</summary>
    /// <exception cref="InvalidOperationException">It failed; the message is what it printed on standard error.</exception>
    public static async Task<string> RunAsync(string program, params IEnumerable<string> arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        using var deadline = new CancellationTokenSource(Budget);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(deadline.Token);
            var error = process.StandardError.ReadToEndAsync(deadline.Token);
            await process.WaitForExitAsync(deadline.Token);
            return process.ExitCode == 0 ? await output : throw new InvalidOperationException((await error).Trim());
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }
}

/// <summary>A test that has another program render. It is skipped where there is none, but never under CI=true.</summary>
internal abstract class ProgramTheoryAttribute : TheoryAttribute
{
    protected ProgramTheoryAttribute(string program) =>
        Skip = Environment.GetEnvironmentVariable("CI") == "true" || Programs.IsInstalled(program) ? null : $"not installed: {program}";
}

/// <inheritdoc/>
internal sealed class KubectlTheoryAttribute() : ProgramTheoryAttribute("kubectl");

/// <inheritdoc/>
internal sealed class HelmTheoryAttribute() : ProgramTheoryAttribute("helm");
