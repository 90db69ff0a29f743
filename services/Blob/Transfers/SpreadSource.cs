using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>
/// A few holders of the same tier, each of which gives windows of large content at the same time. That is faster where what each can send is less than what this
/// node can take. Whether it is, is seen: one holder gives the beginning, and several go on only while they give more together than that one did.
/// </summary>
/// <param name="single">The holders one after the other, disposed of with this.</param>
/// <param name="queue">The holders that it has still to ask.</param>
/// <param name="holders">Those of the nearest tier.</param>
/// <param name="total">The content's length in bytes.</param>
/// <param name="peers">Asks them.</param>
/// <param name="fastest">The fastest that anything has come lately.</param>
/// <param name="places">How many transfers may do so at once: each takes some MiB for its windows.</param>
/// <param name="time">Measures how fast they are.</param>
internal sealed class SpreadSource(
    IPeerSource single, PeerQueue queue, IEnumerable<Holder> holders, long total, PeerClient peers, FastestRate fastest, SemaphoreSlim places, TimeProvider time) : IPeerSource
{
    /// <summary>Shorter content is not worth the while.</summary>
    public const long LeastBytes = 64 * 1024 * 1024;

    private const int MostHolders = 3;
    private const int FirstBytes = 8 * 1024 * 1024;

    /// <summary>A window takes as long as this from one holder. With one that is being given out and one of each holder, all are 8 MiB.</summary>
    private static readonly TimeSpan WindowTime = TimeSpan.FromMilliseconds(250);
    private const int LeastWindowBytes = 512 * 1024;
    private const int MostWindowBytes = 2 * 1024 * 1024;
    private const int MostWindows = MostHolders + 1;

    /// <summary>
    /// What comes at this part of the fastest rate that was seen lately comes as fast as it can. More than 1 Gbit/s from one holder is enough.
    /// </summary>
    private const double FastPart = 0.75;
    private const double EnoughBytesPerSecond = 1e9 / 8;

    /// <summary>Several holders are worth their requests when they give this many times what one gave.</summary>
    private const double LeastGain = 1.2;
    private const int WindowsToJudgeBy = 12;

    private readonly CancellationTokenSource _ended = new();
    private readonly List<Holder> _holders = [.. holders.Take(MostHolders)];
    private readonly Queue<Window> _windows = new();
    private PeerAnswer? _first;
    private bool _isSpread;
    private bool _hasPlace;
    private double _alone;
    private int _windowBytes;
    private int _given;
    private long _since;
    private long _begun;
    private long _next;

    /// <inheritdoc/>
    public TimeSpan StartBudget => single.StartBudget;

    /// <inheritdoc/>
    public async Task<PeerAnswer?> StartAsync(PeerRequest request, CancellationToken cancellation)
    {
        var from = request.From ?? 0;
        if (_first is null && total - from >= LeastBytes)
        {
            _since = time.GetTimestamp();
            return _first = await single.StartAsync(request with { From = from, To = from + FirstBytes - 1 }, cancellation);
        }

        Judge(from);
        if (await NextWindowAsync(request, from, cancellation) is { } window)
        {
            return window;
        }

        _isSpread = false;
        DropWindows();
        return await single.StartAsync(request, cancellation);
    }

    /// <inheritdoc/>
    public Task<bool> ExcusesAsync(Holder peer, TimeSpan silence, CancellationToken cancellation) => single.ExcusesAsync(peer, silence, cancellation);

    /// <inheritdoc/>
    public void Received(long offset, ReadOnlySpan<byte> bytes) => single.Received(offset, bytes);

    /// <inheritdoc/>
    public void Dispose()
    {
        _ended.Cancel();
        DropWindows();
        _ended.Dispose();
        if (_hasPlace)
        {
            places.Release();
        }

        single.Dispose();
    }

    /// <summary>Whether more windows are to be asked for. Those that are on their way are used in any case.</summary>
    private void Judge(long from)
    {
        if (_begun == 0 && _first is { } first && from == first.Offset + first.Length)
        {
            _alone = RateOf(first.Length);
            _windowBytes = (int)Math.Clamp(_alone * WindowTime.TotalSeconds, LeastWindowBytes, MostWindowBytes);
            _isSpread = _alone < EnoughBytesPerSecond && !(_alone >= FastPart * fastest.BytesPerSecond) && (_hasPlace = places.Wait(0, CancellationToken.None));
            fastest.Saw(_alone);
            queue.Return(first.Holder);
            (_begun, _next, _since) = (from, from, time.GetTimestamp());
        }
        else if (_isSpread && _given == WindowsToJudgeBy)
        {
            var together = RateOf(from - _begun);
            fastest.Saw(together);
            _isSpread = together >= LeastGain * _alone;
        }
    }

    private double RateOf(long bytes) => bytes / Math.Max(time.GetElapsedTime(_since).TotalSeconds, 0.001);

    /// <summary>The window that begins there, when it has come whole; null when there is none, or it does not come in time.</summary>
    private async Task<PeerAnswer?> NextWindowAsync(PeerRequest request, long from, CancellationToken cancellation)
    {
        AskForMore(request, null);
        if (!_windows.TryPeek(out var head) || head.From != from)
        {
            return null;
        }

        _windows.Dequeue();

        // Half the budget, so that one holder can still begin alone.
        using var patience = new CancellationTokenSource(StartBudget / 2, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellation);
        try
        {
            while (true)
            {
                if (head.Answer.IsCompleted && await head.Answer is { } answer)
                {
                    _given++;
                    head.Ended.Dispose();
                    return answer;
                }

                // Where the others have filled the memory meanwhile, this holder is far slower than they.
                if (head.Answer.IsCompleted || (_windows.Count == MostWindows - 1 && _windows.All(window => window.Answer.IsCompleted)))
                {
                    _holders.Remove(head.Holder);
                    head.Drop();
                    _isSpread &= _holders.Count > 1;
                    if (_holders.Count == 0)
                    {
                        return null;
                    }

                    head = Ask(_holders.Find(holder => !IsBusy(holder, null)) ?? _holders[0], request, head.From, head.Last);
                }

                AskForMore(request, head);
                await Task.WhenAny([head.Answer, .. _windows.Select(window => window.Answer).Where(other => !other.IsCompleted)]).WaitAsync(either.Token);
            }
        }
        catch (OperationCanceledException)
        {
            head.Drop();
            return null;
        }
    }

    /// <summary>Has each holder that gives nothing now give the next window, as far as there is memory.</summary>
    private void AskForMore(PeerRequest request, Window? head)
    {
        foreach (var holder in _holders.Where(holder => !IsBusy(holder, head)))
        {
            if (_isSpread && _next < total && _windows.Count < MostWindows - 1)
            {
                var last = Math.Min(_next + _windowBytes, total) - 1;
                _windows.Enqueue(Ask(holder, request, _next, last));
                _next = last + 1;
            }
        }
    }

    /// <summary>Whether a holder is giving a window, or has failed to.</summary>
    private bool IsBusy(Holder holder, Window? head) => _windows.Append(head).Any(
        window => window is not null && window.Holder == holder && window.Answer is not { IsCompletedSuccessfully: true, Result: not null });

    private Window Ask(Holder holder, PeerRequest request, long from, long last)
    {
        var ended = CancellationTokenSource.CreateLinkedTokenSource(_ended.Token);
        return new Window(holder, from, last, AskAheadAsync(holder, request with { From = from, To = last }, ended.Token), ended);
    }

    /// <summary>A window when it has come whole; null when it does not, and others are to give it.</summary>
    private async Task<PeerAnswer?> AskAheadAsync(Holder holder, PeerRequest request, CancellationToken cancellation)
    {
        PeerAnswer? answer = null;
        try
        {
            answer = await peers.AskAsync(holder, request, cancellation);
            await answer.ReadAheadAsync(cancellation);
            return answer;
        }
        catch (Exception e) when (e is PeerException or OperationCanceledException)
        {
            answer?.Dispose();
            return null;
        }
    }

    private void DropWindows()
    {
        while (_windows.TryDequeue(out var window))
        {
            window.Drop();
        }
    }

    /// <summary>A part of the content that a holder gives.</summary>
    private sealed record Window(Holder Holder, long From, long Last, Task<PeerAnswer?> Answer, CancellationTokenSource Ended)
    {
        /// <summary>Does without it.</summary>
        public void Drop()
        {
            Ended.Cancel();
            _ = DisposeAsync();
        }

        private async Task DisposeAsync()
        {
            (await Answer)?.Dispose();
            Ended.Dispose();
        }
    }
}
