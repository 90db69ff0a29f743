using System.Security.Cryptography;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>No peer is left that gives the content, or the rest of it.</summary>
internal sealed class PeersExhaustedException() : Exception("No peer is left to ask.");

/// <summary>Part of the content has been given out when the whole turned out not to match its digest.</summary>
internal sealed class CorruptContentException() : Exception("Content from peers does not match its digest.");

/// <summary>
/// Content on its way from peers. When its holder dies or stalls, the next one continues where it stopped. The whole is hashed while it
/// is read, and its last <see cref="HeldBackBytes"/> are given out only when the hash matches; content no longer than that is thus
/// verified before its first byte, and another holder is asked when it does not match.
/// </summary>
internal sealed partial class PeerTransfer : IDisposable
{
    /// <summary>How much of the end is held back; a buffer to read into must be at least as large.</summary>
    public const int HeldBackBytes = 1024 * 1024;

    /// <summary>Less than this within its patience, and a peer counts as silent: it would hang a pull as well as one that sends nothing.</summary>
    private const int LeastProgressBytes = 64 * 1024;

    private readonly PeerContent _peers;
    private readonly IPeerSource _source;
    private readonly string _target;
    private readonly Digest _digest;
    private readonly long _first;
    private readonly long? _last;
    private readonly CancellationToken _cancellation;
    private readonly long _started;
    private readonly IncrementalHash? _hash;
    private readonly HashSet<Holder> _contributors = [];

    private PeerAnswer? _answer;
    private CancellationTokenSource? _patience;
    private CancellationTokenRegistration _cancelled;
    private long? _total;
    private long _offset;
    private TimeSpan _waited;
    private TimeSpan _excused;
    private int _sinceProgress;
    private bool _received;
    private bool _givenOut;
    private bool _complete;

    /// <param name="peers">What transfers share.</param>
    /// <param name="source">The peers, disposed of with this.</param>
    /// <param name="target">The path and query at which they have the content.</param>
    /// <param name="digest">The content's digest.</param>
    /// <param name="first">The first byte to read.</param>
    /// <param name="last">The last byte to read; null for all to the end.</param>
    /// <param name="cancellation">Ends the transfer, because nobody wants it any longer.</param>
    public PeerTransfer(
        PeerContent peers, IPeerSource source, string target, Digest digest, long first, long? last, CancellationToken cancellation)
    {
        (_peers, _source, _cancellation) = (peers, source, cancellation);
        (_target, _digest, _first, _last) = (target, digest, first, last);
        _offset = first;
        _started = peers.Time.GetTimestamp();

        // A part cannot be hashed against the digest. Whoever continues an interrupted pull with a range hashes the whole itself.
        _hash = first == 0 && last is null ? IncrementalHash.CreateHash(digest.HashAlgorithm) : null;
    }

    /// <summary>The content's length; known after the first read.</summary>
    public long Total => _total ?? throw new InvalidOperationException("Nothing has been read.");

    /// <summary>The holder of the last bytes that were read; known after the first read.</summary>
    public Holder Holder { get; private set; } = null!;

    /// <summary>Whether that holder is still downloading the content itself.</summary>
    public bool IsRelayed { get; private set; }

    /// <summary>
    /// How long the client may still wait for a first byte: for peers to begin and, since short content is held back until it is whole, for it to come.
    /// </summary>
    private TimeSpan StartBudgetLeft =>
        _source.StartBudget + (_received ? _peers.Options.StallBudget : TimeSpan.Zero) - _peers.Time.GetElapsedTime(_started);

    private long End => _last is { } last && last < Total ? last + 1 : Total;

    /// <summary>Reads the next bytes; 0 at the end.</summary>
    /// <exception cref="PeersExhaustedException">No peer is left to ask.</exception>
    /// <exception cref="CorruptContentException">What has been read before is not the content.</exception>
    /// <exception cref="OperationCanceledException">The transfer was cancelled.</exception>
    public async ValueTask<int> ReadAsync(Memory<byte> buffer)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(buffer.Length, HeldBackBytes);
        var held = 0;
        while (!_complete)
        {
            try
            {
                var answer = _answer ??= await StartAsync();
                var holdFrom = _hash is null ? End : Math.Max(0, End - HeldBackBytes);
                if (_offset < holdFrom)
                {
                    var read = await ReadOnceAsync(answer, buffer[..(int)Math.Min(buffer.Length, holdFrom - _offset)]);
                    _givenOut = true;
                    return read;
                }

                while (_offset < End)
                {
                    held += await ReadOnceAsync(answer, buffer.Slice(held, (int)(End - _offset)));
                }

                if (_hash is null || Digest.FromHash(_digest.HashAlgorithm, _hash.GetHashAndReset()) == _digest)
                {
                    _complete = true;
                    if (!IsRelayed)
                    {
                        _peers.Metrics.Transferred(_peers.Time.GetElapsedTime(_started), Holder.Tier);
                    }

                    return held;
                }

                ShunContributors();
                held = 0;
            }
            catch (PeerException e)
            {
                Log.Broke(_peers.Logger, Holder.Node.Name, _digest, _offset, e.Message);
                EndAnswer();
            }
            catch (OperationCanceledException) when (!_cancellation.IsCancellationRequested)
            {
                Log.Broke(_peers.Logger, Holder.Node.Name, _digest, _offset, "it sends nothing");
                EndAnswer();
            }
        }

        return 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        EndAnswer();
        _source.Dispose();
        _hash?.Dispose();
    }

    private async Task<PeerAnswer> StartAsync()
    {
        // Until something has been given out there is one budget for all candidates together; later, one for each time a holder is looked for.
        var budget = _givenOut ? _source.StartBudget : StartBudgetLeft;
        if (budget <= TimeSpan.Zero)
        {
            throw new PeersExhaustedException();
        }

        var patience = new CancellationTokenSource(budget, _peers.Time);
        (_patience, _cancelled) = (patience, _cancellation.UnsafeRegister(_ => patience.Cancel(), null));
        var request = _hash is not null && _offset == 0
            ? new PeerRequest(HttpMethod.Get, _target)
            : new PeerRequest(HttpMethod.Get, _target, _offset, _last);
        var answer = await _source.StartAsync(request, patience.Token);
        if (answer is null)
        {
            EndAnswer();
            _cancellation.ThrowIfCancellationRequested();
            throw new PeersExhaustedException();
        }

        (Holder, IsRelayed) = (answer.Holder, answer.IsRelayed);
        if (_total is { } total && answer.Total != total)
        {
            answer.Dispose();
            throw new PeerException($"the content has {answer.Total} bytes there instead of {total}");
        }

        _total = answer.Total;
        (_waited, _excused, _sinceProgress) = (TimeSpan.Zero, TimeSpan.Zero, 0);
        _contributors.Add(answer.Holder);
        if (_offset > _first)
        {
            _peers.Metrics.Resumed();
            Log.Resumed(_peers.Logger, Holder.Node.Name, _digest, _offset);
        }

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

        _hash?.AppendData(buffer.Span[..read]);
        _source.Received(_offset, buffer.Span[..read]);
        _offset += read;
        return read;
    }

    /// <summary>Waits for a read, and ends it when the peer has been silent for too long and is not excused.</summary>
    private async Task<int> WaitAsync(PeerAnswer answer, Task<int> reading)
    {
        while (true)
        {
            var asked = _peers.Time.GetTimestamp();
            var patience = answer.Patience - _waited;
            if (!_givenOut && StartBudgetLeft is var left && left < patience)
            {
                patience = left;
            }

            try
            {
                await reading.WaitAsync(patience > TimeSpan.Zero ? patience : TimeSpan.Zero, _peers.Time);
            }
            catch (TimeoutException) when (reading.IsCompleted)
            {
                // It has just been in time.
            }
            catch (TimeoutException)
            {
                var silence = _excused + _waited + _peers.Time.GetElapsedTime(asked);
                if ((!_givenOut && StartBudgetLeft <= TimeSpan.Zero)
                    || !await _source.ExcusesAsync(answer.Holder, silence, _patience!.Token))
                {
                    await _patience!.CancelAsync();
                }

                (_waited, _excused) = (TimeSpan.Zero, silence);
                if (!_patience!.IsCancellationRequested)
                {
                    continue;
                }
            }

            _waited += _peers.Time.GetElapsedTime(asked);
            return await reading;
        }
    }

    private void ShunContributors()
    {
        EndAnswer();
        _peers.Metrics.Corrupt("peer");

        // Which of several sent the wrong byte cannot be told.
        foreach (var holder in _contributors)
        {
            Log.Corrupt(_peers.Logger, holder.Node.Name, _digest);
            _peers.Shunned.Add(holder.Node.Name, _digest);
        }

        if (_givenOut)
        {
            throw new CorruptContentException();
        }

        _contributors.Clear();
        (_total, _offset, _received) = (null, _first, false);
    }

    private void EndAnswer()
    {
        _cancelled.Dispose();
        _patience?.Dispose();
        _answer?.Dispose();
        (_answer, _patience, _cancelled) = (null, null, default);
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "Node {Node} stopped at byte {Offset} of {Digest}: {Reason}")]
        public static partial void Broke(ILogger logger, NodeName node, Digest digest, long offset, string reason);

        [LoggerMessage(LogLevel.Information, "Node {Node} continues {Digest} from byte {Offset}")]
        public static partial void Resumed(ILogger logger, NodeName node, Digest digest, long offset);

        [LoggerMessage(LogLevel.Error, "What node {Node} sent of {Digest} does not match its digest; for an hour it is not asked again")]
        public static partial void Corrupt(ILogger logger, NodeName node, Digest digest);
    }
}
