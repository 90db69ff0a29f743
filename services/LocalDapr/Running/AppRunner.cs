using Microsoft.Extensions.Logging.Console;

namespace SpegelDapr.LocalDapr.Running;

/// <summary>Runs apps with their sidecars until told to stop, or until an app asks its sidecar to.</summary>
internal static partial class AppRunner
{
    /// <summary>The exit code: 0, or 1 when an app failed.</summary>
    /// <exception cref="LocalDaprException">Something could not be started, or a changed resource not taken in; what ran is stopped.</exception>
    public static async Task<int> RunAsync(
        IReadOnlyList<RunApp> apps, LogLevel logLevel, IEnumerable<string> ignored, CancellationToken cancellation)
    {
        using var loggers = LoggerFactory.Create(logging => logging
            .SetMinimumLevel(logLevel)
            .AddFilter("Microsoft", LogLevel.Warning)
            .AddFilter("Grpc", LogLevel.Warning)
            .AddSimpleConsole(console =>
            {
                console.SingleLine = true;
                console.ColorBehavior = LoggerColorBehavior.Disabled;
                console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
                console.UseUtcTimestamp = true;
            }));
        var logger = loggers.CreateLogger("localdapr");
        foreach (var setting in ignored)
        {
            Log.Ignored(logger, setting);
        }

        await using var host = new LocalDaprHost(loggers);
        var processes = new List<AppProcess>();
        try
        {
            var sidecars = new List<Sidecar>();
            foreach (var app in apps)
            {
                sidecars.Add(await host.StartAsync(app.Sidecar, cancellation));
            }

            foreach (var (app, sidecar) in apps.Zip(sidecars).Where(pair => pair.First.Command.Count > 0))
            {
                processes.Add(AppProcess.Start(app, sidecar));
            }

            return await WaitAsync(sidecars, processes, logger, cancellation);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return 0;
        }
        finally
        {
            await Task.WhenAll(processes.Select(process => process.StopAsync()));
        }
    }

    // The others go on when an app ends, as with the Dapr CLI; nothing is left to do when all have.
    private static async Task<int> WaitAsync(List<Sidecar> sidecars, List<AppProcess> processes, ILogger logger, CancellationToken cancellation)
    {
        var failed = false;
        var running = processes.ToDictionary(process => (Task)process.Ended);
        var shutdown = Task.WhenAny(sidecars.Select(sidecar => sidecar.ShutdownRequested));
        do
        {
            var ended = await Task.WhenAny([.. running.Keys, shutdown]).WaitAsync(cancellation);
            if (!running.Remove(ended, out var process))
            {
                // Throws what a sidecar has failed with.
                await await shutdown;
                return 0;
            }

            var exitCode = await process.Ended;
            failed |= exitCode != 0;
            Log.AppEnded(logger, exitCode == 0 ? LogLevel.Information : LogLevel.Error, process.AppId, exitCode);
        }
        while (running.Count > 0);
        return failed ? 1 : 0;
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Information, Message = "{Setting} has no effect in LocalDapr.")]
        public static partial void Ignored(ILogger logger, string setting);

        [LoggerMessage(Message = "The app {App} ended with exit code {ExitCode}.")]
        public static partial void AppEnded(ILogger logger, LogLevel level, string app, int exitCode);
    }
}
