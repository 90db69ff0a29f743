using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace SpegelDapr.ServiceDefaults;

/// <summary>Runs a service as a process.</summary>
public static class ServiceHost
{
    /// <summary>The exit code of a service whose settings are wrong.</summary>
    public const int BadSettings = 2;

    /// <summary>The exit code of a service that a part running in the background has stopped by its error, which is in the log.</summary>
    public const int Failed = 1;

    /// <summary>
    /// Builds the service and runs it until SIGTERM or SIGINT, which also end a build that waits. What its user can mend (a wrong setting, a
    /// port that is taken) is one line each on standard error and exit code <see cref="BadSettings"/>, without a stack trace.
    /// </summary>
    public static async Task<int> RunAsync(Func<CancellationToken, Task<WebApplication>> create)
    {
        ArgumentNullException.ThrowIfNull(create);
        using var stop = new CancellationTokenSource();
        try
        {
            await using var app = await BuildAsync(create, stop);
            await app.StartAsync(stop.Token);
            await app.WaitForShutdownAsync(stop.Token);
            return HasFailed(app) ? Failed : 0;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return 0;
        }
        catch (OptionsValidationException e)
        {
            return await FailAsync(e.Failures);
        }
        catch (InvalidOperationException e) when (e.Message.StartsWith("Failed to convert configuration value", StringComparison.Ordinal))
        {
            return await FailAsync([e.Message]);
        }
        catch (IOException e) when (e.InnerException is AddressInUseException)
        {
            return await FailAsync([e.Message]);
        }
    }

    /// <summary>Until the service runs nothing else listens to signals, and the first process of a container would never end.</summary>
    private static async Task<WebApplication> BuildAsync(Func<CancellationToken, Task<WebApplication>> create, CancellationTokenSource stop)
    {
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        return await create(stop.Token);

        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true;
            stop.Cancel();
        }
    }

    /// <summary>The host stops when a background service fails, and then ends as if it had been asked to.</summary>
    private static bool HasFailed(WebApplication app) =>
        app.Services.GetServices<IHostedService>().OfType<BackgroundService>().Any(service => service.ExecuteTask is { IsFaulted: true });

    private static async Task<int> FailAsync(IEnumerable<string> problems)
    {
        foreach (var problem in problems)
        {
            await Console.Error.WriteLineAsync(problem.ReplaceLineEndings(" "));
        }

        return BadSettings;
    }
}
