namespace SpegelDapr.Blob.Peers;

/// <summary>A rate of what is sent or comes, taken anew each half second. Not safe for several threads at once.</summary>
internal sealed class RateWindow(TimeProvider time)
{
    private static readonly TimeSpan Length = TimeSpan.FromMilliseconds(500);

    private long _start = time.GetTimestamp();
    private long _bytes;
    private double? _bytesPerSecond;

    /// <summary>The rate; null when none has been taken, or there is nothing now by which to judge what was before.</summary>
    public double? BytesPerSecond => time.GetElapsedTime(_start) < 2 * Length ? _bytesPerSecond : null;

    /// <summary>Takes in that bytes have been sent, or have come.</summary>
    public void Add(int bytes)
    {
        _bytes += bytes;
        if (time.GetElapsedTime(_start) is var elapsed && elapsed >= Length)
        {
            // Nothing for some time, then these bytes: that is no rate.
            _bytesPerSecond = elapsed < 2 * Length ? _bytes / elapsed.TotalSeconds : null;
            (_start, _bytes) = (time.GetTimestamp(), 0);
        }
    }

    /// <summary>Counts what was before no more.</summary>
    public void Forget() => _bytesPerSecond = null;
}
