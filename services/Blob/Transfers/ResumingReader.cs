using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>What is read from peers.</summary>
/// <param name="Target">The path and query at which they have the content.</param>
/// <param name="Digest">The content's digest.</param>
/// <param name="First">The first byte.</param>
/// <param name="Last">The last byte; null for all to the end.</param>
/// <param name="Total">The content's whole length in bytes, as a manifest says; null when none has.</param>
internal sealed record ContentPart(string Target, Digest Digest, long First, long? Last, long? Total)
{
    /// <summary>No registry takes content that is longer: 1 TiB.</summary>
    private const long MostTotal = 1L << 40;

    /// <summary>Whether it is all of the content.</summary>
    public bool IsWhole => First == 0 && Last is null;

    /// <summary>Whether content of that length can be it.</summary>
    public bool MayHave(long total) => Total is null ? total <= MostTotal : total == Total;
}

/// <summary>No peer is left that gives the content, or the rest of it.</summary>
internal sealed class PeersExhaustedException() : Exception("No peer is left to ask.");

/// <summary>
/// Reads content from one peer after the other: when one dies or stalls, the next continues where it stopped. Not safe for several readers at once.
/// </summary>
/// <param name="source">The peers, disposed of with this.</param>
/// <param name="part">What to read.</param>
/// <param name="stallBudget">How much longer than its source's budget a first byte may take that is on its way.</param>
/// <param name="health">Is told who sent bytes that have changed on the way.</param>
/// <param name="metrics">Counts resumes.</param>
/// <param name="time">Measures patience.</param>
/// <param name="logger">Is told of each change of peers.</param>
/// <param name="cancellation">Ends the reading, because nobody wants it any longer.</param>
internal sealed partial class ResumingReader(
    IPeerSource source,
    ContentPart part,
    TimeSpan stallBudget,
    PeerHealth health,
    BlobMetrics metrics,
    TimeProvider time,
    ILogger logger,
    CancellationToken cancellation) : IDisposable
{
    /// <summary>Less than this within its patience, and a peer counts as silent: it would hang a pull as well as one that sends nothing.</summary>
    private const int LeastProgressBytes = 64 * 1024;

    private readonly long _started = time.GetTimestamp();
    private readonly Dictionary<Holder, bool> _contributors = [];

    /// <summary>Who sent the next bytes, but not as they were.</summary>
    private readonly HashSet<NodeName> _suspects = [];

    private PeerAnswer? _answer;
    private CancellationTokenSource? _patience;
    private CancellationTokenRegistration _cancelled;
    private CancellationTokenRegistration _left;
    private long? _total;
    private TimeSpan _waited;
    private TimeSpan _excused;
    private int _sinceProgress;
    private bool _received;
    private bool _hasBroken;

    /// <summary>What is read.</summary>
    public ContentPart Part => part;

    /// <summary>The content's whole length; known after <see cref="BeginAsync"/>.</summary>
    public long Total => _total ?? throw new InvalidOperationException("Nothing has begun.");

    /// <summary>Where the part ends, which is one after its last byte; known after <see cref="BeginAsync"/>.</summary>
    public long End => part.Last is { } last && last < Total ? last + 1 : Total;

    /// <summary>The next byte's place in the content.</summary>
    public long Offset { get; private set; } = part.First;

    /// <summary>The peer that gives the bytes; known after <see cref="BeginAsync"/>.</summary>
    public Holder Holder { get; private set; } = null!;

    /// <summary>Whether that peer is still downloading the content itself.</summary>
    public bool IsRelayed { get; private set; }

    /// <summary>All peers that have given bytes since the beginning, and whether each was still downloading the content itself.</summary>
    public IReadOnlyDictionary<Holder, bool> Contributors => _contributors;

    /// <summary>How long ago the reading was begun.</summary>
    private TimeSpan Elapsed => time.GetElapsedTime(_started);

    /// <summary>
    /// Whether the client has been given something. Until then there is one budget for all peers together; later, one for each time a peer is looked for.
    /// </summary>
    public bool HasGivenOut { get; set; }

    /// <summary>
    /// How long the client may still wait for a first byte: for peers to begin and, since short content is held back until it is whole, for it to come.
    /// </summary>
    private TimeSpan StartBudgetLeft => source.StartBudget + (_received ? stallBudget : TimeSpan.Zero) - Elapsed;

    /// <summary>Finds a peer that gives the bytes from the offset on, unless there is one already.</summary>
    /// <exception cref="PeersExhaustedException">None is left to ask.</exception>
    /// <exception cref="OperationCanceledException">The reading was cancelled.</exception>
    public async ValueTask BeginAsync()
    {
        while (_answer is null)
        {
            try
            {
                _answer = await StartAsync();
            }
            catch (PeerException e)
            {
                Break(e.Message);
            }
        }
    }

    /// <summary>Reads the next bytes; 0 at the end.</summary>
    /// <exception cref="PeersExhaustedException">No peer is left to ask.</exception>
    /// <exception cref="OperationCanceledException">The reading was cancelled.</exception>
    public async ValueTask<int> ReadAsync(Memory<byte> buffer)
    {
        while (true)
        {
            await BeginAsync();
            if (Offset >= End)
            {
                return 0;
            }

            if (Offset == _answer!.Offset + _answer.Length)
            {
                EndAnswer();
                continue;
            }

            try
            {
                return await ReadOnceAsync(_answer, buffer[..(int)Math.Min(buffer.Length, End - Offset)]);
            }
            catch (PeerException e)
            {
                if (e.IsCorrupt)
                {
                    Suspect();
                }

                Break(e.Message);
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                Break(_answer!.LeftBecause ?? "it sends nothing");
            }
        }
    }

    /// <summary>Begins anew, from other peers, with the first byte.</summary>
    public void Restart()
    {
        EndAnswer();
        _contributors.Clear();
        (_total, Offset, _received) = (null, part.First, false);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        EndAnswer();
        source.Dispose();
    }

    private async Task<PeerAnswer> StartAsync()
    {
        var budget = HasGivenOut ? source.StartBudget : StartBudgetLeft;
        if (budget <= TimeSpan.Zero)
        {
            throw new PeersExhaustedException();
        }

        var patience = new CancellationTokenSource(budget, time);
        (_patience, _cancelled) = (patience, cancellation.UnsafeRegister(_ => patience.Cancel(), null));
        var request = part.IsWhole && Offset == 0
            ? new PeerRequest(HttpMethod.Get, part.Target)
            : new PeerRequest(HttpMethod.Get, part.Target, Offset, part.Last);
        var answer = await source.StartAsync(request, patience.Token);
        if (answer is null)
        {
            EndAnswer();
            cancellation.ThrowIfCancellationRequested();
            throw new PeersExhaustedException();
        }

        (Holder, IsRelayed) = (answer.Holder, answer.IsRelayed);
        if (!part.MayHave(answer.Total) || (_total is { } total && answer.Total != total))
        {
            answer.Dispose();
            throw new PeerException($"the content has {answer.Total} bytes there, which cannot be right");
        }

        _total = answer.Total;
        _left = answer.Left.UnsafeRegister(_ => patience.Cancel(), null);
        (_waited, _excused, _sinceProgress) = (TimeSpan.Zero, TimeSpan.Zero, 0);
        _contributors[answer.Holder] = answer.IsRelayed || _contributors.GetValueOrDefault(answer.Holder);
        if (_hasBroken && Offset > part.First)
        {
            metrics.Resumed();
            Log.Resumed(logger, Holder.Node.Name, part.Digest, Offset);
        }

        _hasBroken = false;
        return answer;
    }

    private async ValueTask<int> ReadOnceAsync(PeerAnswer answer, Memory<byte> buffer)
    {
        // Between reads the client may take its time.
        _patience!.CancelAfter(Timeout.InfiniteTimeSpan);
        var read = await WaitAsync(answer, answer.ReadAsync(buffer, _patience.Token).AsTask());
        _received = true;
        _sinceProgress += read;
        if (_sinceProgress >= LeastProgressBytes)
        {
            (_waited, _excused, _sinceProgress) = (TimeSpan.Zero, TimeSpan.Zero, 0);
        }

        source.Received(Offset, buffer.Span[..read]);
        Offset += read;
        if (answer.IsChecked)
        {
            ShunSuspects();
        }

        return read;
    }

    /// <summary>The peer, the way from there or this node itself has changed bytes. Which, is known when they have come well from another one.</summary>
    private void Suspect()
    {
        metrics.Corrupt("peer");
        health.Suspect(Holder.Node.Name, part.Digest);
        _suspects.Add(Holder.Node.Name);
    }

    private void ShunSuspects()
    {
        foreach (var node in _suspects.Where(suspect => suspect != Holder.Node.Name))
        {
            Log.Shunned(logger, node, part.Digest);
            health.Shun(node, part.Digest);
        }

        _suspects.Clear();
    }

    /// <summary>Waits for a read, and ends it when the peer has been silent for too long and is not excused.</summary>
    private async Task<int> WaitAsync(PeerAnswer answer, Task<int> reading)
    {
        while (true)
        {
            var asked = time.GetTimestamp();
            var patience = answer.Patience - _waited;
            if (!HasGivenOut && StartBudgetLeft is var left && left < patience)
            {
                patience = left;
            }

            try
            {
                await reading.WaitAsync(patience > TimeSpan.Zero ? patience : TimeSpan.Zero, time);
            }
            catch (TimeoutException) when (reading.IsCompleted)
            {
                // It has just been in time.
            }
            catch (TimeoutException)
            {
                var silence = _excused + _waited + time.GetElapsedTime(asked);
                if ((!HasGivenOut && StartBudgetLeft <= TimeSpan.Zero)
                    || !await source.ExcusesAsync(answer.Holder, silence, _patience!.Token))
                {
                    await _patience!.CancelAsync();
                }

                (_waited, _excused) = (TimeSpan.Zero, silence);
                if (!_patience!.IsCancellationRequested)
                {
                    continue;
                }
            }

            _waited += time.GetElapsedTime(asked);
            return await reading;
        }
    }

    private void Break(string reason)
    {
        Log.Broke(logger, Holder.Node.Name, part.Digest, Offset, reason);
        EndAnswer();
        _hasBroken = true;
    }

    private void EndAnswer()
    {
        _left.Dispose();
        _cancelled.Dispose();
        _patience?.Dispose();
        _answer?.Dispose();
        (_answer, _patience, _cancelled, _left) = (null, null, default, default);
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "Node {Node} stopped at byte {Offset} of {Digest}: {Reason}")]
        public static partial void Broke(ILogger logger, NodeName node, Digest digest, long offset, string reason);

        [LoggerMessage(LogLevel.Error, "What node {Node} sent of {Digest} had changed on the way, and came well from another; for an hour it is not asked again")]
        public static partial void Shunned(ILogger logger, NodeName node, Digest digest);

        [LoggerMessage(LogLevel.Information, "Node {Node} continues {Digest} from byte {Offset}")]
        public static partial void Resumed(ILogger logger, NodeName node, Digest digest, long offset);
    }
}
