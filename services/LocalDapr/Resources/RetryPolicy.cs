namespace SpegelDapr.LocalDapr.Resources;

/// <summary>A retry policy of a Dapr <c>Resiliency</c> resource; the defaults are those of Dapr's retry package.</summary>
internal sealed record RetryPolicy
{
    private const double Growth = 1.5;
    private static readonly TimeSpan FirstExponential = TimeSpan.FromMilliseconds(500);

    /// <summary>Whether waits grow; otherwise each is <see cref="Duration"/>.</summary>
    public bool Exponential { get; init; }

    /// <summary>The wait of a constant policy.</summary>
    public TimeSpan Duration { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The longest wait of an exponential policy.</summary>
    public TimeSpan MaxInterval { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>How often to try again; -1 for as long as it takes.</summary>
    public int MaxRetries { get; init; } = -1;

    /// <summary>The wait before retry number <paramref name="retry"/>, counted from 1; null when there is no such retry.</summary>
    public TimeSpan? Delay(int retry)
    {
        if (MaxRetries >= 0 && retry > MaxRetries)
        {
            return null;
        }

        return Exponential ? TimeSpan.FromTicks((long)Math.Min(MaxInterval.Ticks, FirstExponential.Ticks * Math.Pow(Growth, retry - 1))) : Duration;
    }
}
