using SpegelDapr.Blob.Http;
using SpegelDapr.Blob.Planning;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Recording;

/// <summary>A request of the node's containerd while it is answered. Not safe for several threads at once.</summary>
internal sealed class TransferRecording(MirrorRequest request, TimeProvider time)
{
    /// <summary>What a recording takes of memory is bounded: the nodes after these are left out, and what they give counts with the last one.</summary>
    private const int MostNodes = 16;

    private readonly DateTimeOffset _at = time.GetUtcNow();
    private readonly long _began = time.GetTimestamp();
    private readonly List<RecordedSource> _sources = [];

    private Digest? _digest = request.Digest;
    private PullPlan? _plan;
    private long? _first;
    private long _bytes;
    private TimeSpan? _firstByte;
    private TimeSpan? _longestWait;
    private long _lastAt;

    /// <summary>The content is found out.</summary>
    public void Names(Digest digest) => _digest = digest;

    /// <summary>The way that the pull goes.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="first">The first byte that is asked for; null for the beginning.</param>
    public void Planned(PullPlan plan, long? first) => (_plan, _first) = (plan, first);

    /// <summary>Bytes have come from a node, which may be this one.</summary>
    public void Came(Holder from, long bytes, bool isRelayed)
    {
        if (_firstByte is null)
        {
            _firstByte = time.GetElapsedTime(_began);
        }
        else if (time.GetElapsedTime(_lastAt) is var waited && !(waited <= _longestWait))
        {
            _longestWait = waited;
        }

        _lastAt = time.GetTimestamp();
        _bytes += bytes;
        var index = _sources.FindLastIndex(source => source.Node == from.Node.Name && source.IsRelayed == isRelayed);
        if (index < 0 && _sources.Count < MostNodes)
        {
            _sources.Add(new RecordedSource(from.Node.Name, from.Node.Location, from.Tier, bytes, isRelayed));
        }
        else
        {
            index = index < 0 ? _sources.Count - 1 : index;
            _sources[index] = _sources[index] with { Bytes = _sources[index].Bytes + bytes };
        }
    }

    /// <summary>What is remembered of it.</summary>
    public RecordedTransfer ToTransfer(RequestOutcome outcome) => new(
        _at,
        BlobMetrics.Name(request.Kind),
        request.Repository,
        outcome.Name(),
        _bytes,
        time.GetElapsedTime(_began).TotalSeconds,
        _sources,
        [.. (_plan?.Candidates ?? []).Take(MostNodes).Select(candidate =>
            new RecordedCandidate(candidate.Holder.Node.Name, candidate.Holder.Node.Location, candidate.IsUsed, candidate.Reason))],
        _digest,
        request.Registry,
        request.Tag,
        _first,
        _plan?.Sources[0].Reason,
        _firstByte?.TotalSeconds,
        _longestWait?.TotalSeconds);
}
