namespace SpegelDapr.ServiceDefaults;

/// <summary>Lets a message that others can provoke at will be logged at most once in ten seconds; a metric counts what it is about.</summary>
public sealed class LogThrottle(TimeProvider time)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    private long _lastTicks;

    /// <summary>Whether to log now.</summary>
    public bool IsOpen()
    {
        var (last, now) = (Interlocked.Read(ref _lastTicks), time.GetUtcNow().Ticks);
        return now - last >= Interval.Ticks && Interlocked.CompareExchange(ref _lastTicks, now, last) == last;
    }
}
