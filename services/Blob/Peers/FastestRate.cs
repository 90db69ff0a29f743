namespace SpegelDapr.Blob.Peers;

/// <summary>How fast content comes to this node from others: what was fastest in the last minutes, by which what is slow is told from a slow link of its own, and now.</summary>
internal sealed class FastestRate(TimeProvider time)
{
    private static readonly TimeSpan CountsFor = TimeSpan.FromMinutes(10);

    private readonly Lock _lock = new();
    private readonly RateWindow _now = new(time);
    private double _fastestNow;
    private long _fastestNowAt;
    private double _bytesPerSecond;
    private long _at;
    private double _least;
    private long _leastAt;

    /// <summary>The rate; null when nothing has come.</summary>
    public double? BytesPerSecond
    {
        get
        {
            lock (_lock)
            {
                return _bytesPerSecond > 0 && time.GetElapsedTime(_at) < CountsFor ? _bytesPerSecond : null;
            }
        }
    }

    /// <summary>Whether that is little for this zone, so that this node's own link is slow.</summary>
    public bool IsSlow
    {
        get
        {
            lock (_lock)
            {
                return _bytesPerSecond < _least && time.GetElapsedTime(_leastAt) < CountsFor;
            }
        }
    }

    /// <summary>Takes in that less than this rate is little, since another node has more than this one takes.</summary>
    public void Expect(double least)
    {
        lock (_lock)
        {
            (_least, _leastAt) = (least, time.GetTimestamp());
        }
    }

    /// <summary>What comes now, of all content together; null when that is not known.</summary>
    public double? Now
    {
        get
        {
            lock (_lock)
            {
                return _now.BytesPerSecond;
            }
        }
    }

    /// <summary>The most that <see cref="Now"/> has been in the last minutes; null when it has not been known.</summary>
    public double? FastestNow
    {
        get
        {
            lock (_lock)
            {
                return _fastestNow > 0 && time.GetElapsedTime(_fastestNowAt) < CountsFor ? _fastestNow : null;
            }
        }
    }

    /// <summary>Takes in that bytes have come.</summary>
    public void Came(int bytes)
    {
        lock (_lock)
        {
            _now.Add(bytes);
            if (_now.BytesPerSecond is { } now && (now >= _fastestNow || time.GetElapsedTime(_fastestNowAt) >= CountsFor))
            {
                (_fastestNow, _fastestNowAt) = (now, time.GetTimestamp());
            }
        }
    }

    /// <summary>Takes in at which rate some content comes.</summary>
    public void Saw(double bytesPerSecond)
    {
        lock (_lock)
        {
            if (bytesPerSecond >= _bytesPerSecond || time.GetElapsedTime(_at) >= CountsFor)
            {
                (_bytesPerSecond, _at) = (bytesPerSecond, time.GetTimestamp());
            }
        }
    }
}
