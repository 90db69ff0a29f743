namespace SpegelDapr.Blob.Peers;

/// <summary>
/// How long content takes on one route (from a location, or from a registry): time to first byte plus size over throughput, both
/// exponentially weighted towards the latest transfers.
/// </summary>
internal sealed class TransferEstimate(TimeProvider time)
{
    /// <summary>Content no larger tells of the first byte, not of throughput: a manifest or a configuration.</summary>
    public const long SmallBytes = 64 * 1024;

    /// <summary>What the newest sample weighs in the time to first byte.</summary>
    private const double NewestWeight = 0.3;

    /// <summary>What remains of earlier samples' bytes and seconds when a new one comes.</summary>
    private const double EarlierRemains = 0.7;

    /// <summary>A sample this many times its expectation, or this small a part of it, is a surprise: it replaces what was known.</summary>
    private const double Surprise = 2;

    private readonly Lock _lock = new();
    private double? _firstByte;
    private double _bytes;
    private double _seconds;
    private long _samples;
    private long _passedOver;
    private long _refreshed = time.GetTimestamp();
    private long? _bodyAt;

    /// <summary>The figures as they are now.</summary>
    public TransferFigures Figures
    {
        get
        {
            lock (_lock)
            {
                return new TransferFigures(_firstByte, _seconds > 0 ? _bytes / _seconds : null, _samples);
            }
        }
    }

    /// <summary>Decisions against this route since its throughput was last seen, and how long ago that was: an old estimate deserves another try.</summary>
    public (long PassedOver, TimeSpan Age) Staleness
    {
        get
        {
            lock (_lock)
            {
                return (_passedOver, time.GetElapsedTime(_refreshed));
            }
        }
    }

    /// <summary>How long ago the throughput was last seen; null when it never was.</summary>
    public TimeSpan? SinceBody
    {
        get
        {
            lock (_lock)
            {
                return _bodyAt is { } at ? time.GetElapsedTime(at) : null;
            }
        }
    }

    /// <summary>Takes in how long a request took until its first byte.</summary>
    public void ObserveFirstByte(TimeSpan duration)
    {
        lock (_lock)
        {
            _firstByte = _firstByte + (NewestWeight * (duration.TotalSeconds - _firstByte)) ?? duration.TotalSeconds;
            _samples++;
        }
    }

    /// <summary>Takes in how long a request took to fail, if it cost more than a first byte is expected to.</summary>
    public void ObserveFailure(TimeSpan duration)
    {
        if (duration.TotalSeconds > (Figures.FirstByteSeconds ?? 0))
        {
            ObserveFirstByte(duration);
        }
    }

    /// <summary>Takes in how long so many bytes took after the first; small ones tell nothing.</summary>
    /// <returns>Whether that is far from what was expected, so that what is known of other routes may be old as well.</returns>
    public bool ObserveBody(long bytes, TimeSpan duration)
    {
        if (bytes <= SmallBytes || duration <= TimeSpan.Zero)
        {
            return false;
        }

        lock (_lock)
        {
            var expected = _seconds > 0 ? bytes / (_bytes / _seconds) : duration.TotalSeconds;
            var isSurprise = duration.TotalSeconds > expected * Surprise || duration.TotalSeconds < expected / Surprise;
            var remains = isSurprise ? 0 : EarlierRemains;
            (_bytes, _seconds) = ((_bytes * remains) + bytes, (_seconds * remains) + duration.TotalSeconds);
            _bodyAt = time.GetTimestamp();
            _samples++;
            Refresh();
            return isSurprise;
        }
    }

    /// <summary>Takes in a transfer of which only the whole time is known. Its first byte is assumed to have come as expected.</summary>
    /// <returns>As <see cref="ObserveBody"/>.</returns>
    public bool ObserveWhole(long bytes, TimeSpan duration)
    {
        if (bytes <= SmallBytes)
        {
            ObserveFirstByte(duration);
            return false;
        }

        // At least half of the time is the body's, however long the first byte usually takes.
        var body = Math.Max(duration.TotalSeconds - (Figures.FirstByteSeconds ?? 0), duration.TotalSeconds / 2);
        return ObserveBody(bytes, TimeSpan.FromSeconds(body));
    }

    /// <summary>Another route has been chosen.</summary>
    /// <param name="decisions">For how many decisions it counts.</param>
    public void PassOver(long decisions = 1)
    {
        lock (_lock)
        {
            _passedOver += decisions;
        }
    }

    /// <summary>The route is being tried: it has no need of another try until that has ended.</summary>
    public void Try()
    {
        lock (_lock)
        {
            Refresh();
        }
    }

    private void Refresh() => (_passedOver, _refreshed) = (0, time.GetTimestamp());
}

/// <summary>What is known of a route.</summary>
/// <param name="FirstByteSeconds">The time to the first byte; null when none has been seen.</param>
/// <param name="BytesPerSecond">The throughput; null when nothing large has been transferred.</param>
/// <param name="Samples">How many measurements it rests on.</param>
internal sealed record TransferFigures(double? FirstByteSeconds, double? BytesPerSecond, long Samples)
{
    /// <summary>The expected seconds for content of that size; null when too little is known.</summary>
    public double? Expect(long bytes) =>
        bytes <= TransferEstimate.SmallBytes ? FirstByteSeconds : (FirstByteSeconds ?? 0) + (bytes / BytesPerSecond);
}
