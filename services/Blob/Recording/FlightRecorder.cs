using SpegelDapr.Blob.Http;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Recording;

/// <summary>Remembers how the last requests of the node's containerd were answered, so that it can be told later why a pull was slow.</summary>
internal sealed class FlightRecorder(BlobMetrics metrics, TimeProvider time)
{
    private static readonly string[] Misses = [RequestOutcome.Miss.Name(), RequestOutcome.Bypassed.Name()];

    private readonly Lock _lock = new();
    private readonly RecordedTransfer?[] _transfers = new RecordedTransfer?[RecordedTransfers.MaxTransfers];
    private int _last = -1;

    /// <summary>What is remembered, the latest first.</summary>
    public IReadOnlyList<RecordedTransfer> Latest
    {
        get
        {
            lock (_lock)
            {
                return [.. LatestFirst().Select(place => _transfers[place]!)];
            }
        }
    }

    /// <summary>Begins to record a request; <see cref="End"/> is to be called.</summary>
    public TransferRecording Begin(MirrorRequest request) => new(request, time);

    /// <summary>Remembers a request that has been answered.</summary>
    public void End(TransferRecording recording, RequestOutcome outcome)
    {
        var transfer = recording.ToTransfer(outcome);
        if (RequestOutcomes.TierOf(outcome) is { } tier)
        {
            metrics.Answered();

            // What another node was still downloading comes no faster than that.
            if (transfer is { FirstByteSeconds: { } firstByte } && !transfer.Sources.Any(source => source.IsRelayed))
            {
                metrics.Transferred(tier, transfer.Bytes, firstByte, transfer.Seconds);
            }
        }

        lock (_lock)
        {
            _last = (_last + 1) % _transfers.Length;
            _transfers[_last] = transfer;
        }
    }

    /// <summary>Remembers what containerd has fetched itself after the latest miss of some content.</summary>
    public void FetchedUpstream(Digest digest, long bytes, TimeSpan duration)
    {
        lock (_lock)
        {
            if (LatestFirst().FirstOrDefault(place => _transfers[place]!.Digest == digest && Misses.Contains(_transfers[place]!.Outcome), -1) is var place and >= 0)
            {
                _transfers[place] = _transfers[place]! with { Upstream = new RecordedUpstream(bytes, duration.TotalSeconds) };
            }
        }
    }

    private IEnumerable<int> LatestFirst() =>
        Enumerable.Range(0, _transfers.Length).Select(age => (_last - age + _transfers.Length) % _transfers.Length).TakeWhile(place => _transfers[place] is not null);
}
