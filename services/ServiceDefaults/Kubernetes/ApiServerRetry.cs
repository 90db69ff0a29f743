using Microsoft.Extensions.Logging;

namespace SpegelDapr.ServiceDefaults.Kubernetes;

/// <summary>Waits between attempts that have failed, ever longer, and says at once and then at intervals what fails and why.</summary>
/// <param name="task">What is attempted, as the beginning of a sentence.</param>
/// <param name="time">Counts the waits.</param>
/// <param name="logger">Takes the messages.</param>
public sealed partial class ApiServerRetry(string task, TimeProvider time, ILogger logger)
{
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(15);

    /// <summary>The least time between two messages of the same reason.</summary>
    private static readonly TimeSpan LogInterval = TimeSpan.FromSeconds(30);

    private TimeSpan _delay = FirstDelay;
    private string? _reason;
    private long _failing;
    private long _logged;

    /// <summary>An attempt has succeeded.</summary>
    public void Succeeded()
    {
        if (_reason is not null)
        {
            Log.Succeeded(logger, task, time.GetElapsedTime(_failing).TotalSeconds);
        }

        (_reason, _delay) = (null, FirstDelay);
    }

    /// <summary>An attempt has failed: says so, unless it has just been said, and waits.</summary>
    public Task WaitAsync(NodeApiException failure, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(failure);
        var now = time.GetTimestamp();
        if (_reason is null)
        {
            _failing = now;
        }

        if (_reason != failure.Message || time.GetElapsedTime(_logged, now) >= LogInterval)
        {
            (_reason, _logged) = (failure.Message, now);
            Log.Failing(logger, task, time.GetElapsedTime(_failing, now).TotalSeconds, failure.Message);
        }

        var delay = _delay;
        _delay = _delay * 2 < LongestDelay ? _delay * 2 : LongestDelay;
        return Task.Delay(delay * (0.75 + (Random.Shared.NextDouble() / 2)), time, cancellation);
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "{Task} fails, for {Seconds:0} s now: {Reason}. It is tried again until it succeeds.")]
        public static partial void Failing(ILogger logger, string task, double seconds, string reason);

        [LoggerMessage(LogLevel.Information, "{Task} has succeeded, after {Seconds:0} s")]
        public static partial void Succeeded(ILogger logger, string task, double seconds);
    }
}
