using System.Diagnostics.CodeAnalysis;
using SpegelDapr.Blob.Http;

namespace SpegelDapr.Simulation;

/// <summary>
/// The body of an answer on its way: pieces of what its sender has go over the sender's link and then over the receiver's, and wait to be read. As many are
/// on the way at most as a socket's buffers hold.
/// </summary>
/// <param name="swarm">What both are part of.</param>
/// <param name="sender">Who sends; null for the registry.</param>
/// <param name="receiver">Who receives.</param>
/// <param name="from">The first byte.</param>
/// <param name="fed">What the sender knows of the receiver.</param>
internal sealed class Body(Swarm swarm, Node? sender, Node receiver, long from, FedPeer? fed = null) : Stream
{
    /// <summary>How much goes over a link at once. Kestrel and the kernel pass on less, so a chain of nodes is slower here than it is.</summary>
    private const int PieceBytes = 64 * 1024;

    /// <summary>How much may be on the way.</summary>
    public const int WindowBytes = 512 * 1024;

    /// <summary>As PeerEndpoint's.</summary>
    public const long LeastBehindBytes = 4 * 1024 * 1024;

    /// <summary>How often a sender that has nothing more looks whether that may last.</summary>
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);

    private TaskCompletionSource? _wanted;
    private IOException? _failure;
    private long _sent = from;
    private long _arrived = from;
    private long _read = from;
    private bool _isOnLink;
    private bool _isStarved;
    private bool _isWatched;
    private bool _hasEnded;

    /// <summary>Who sends; null for the registry.</summary>
    public Node? Sender => sender;

    /// <summary>Who receives.</summary>
    public Node Receiver => receiver;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => _read; set => throw new NotSupportedException(); }

    /// <summary>Begins to send.</summary>
    public void Begin()
    {
        receiver.Begins(this);
        sender?.Serving.Add(this);
        Send();
    }

    /// <summary>Breaks it off, as a process that has been killed does.</summary>
    public void Break(string reason)
    {
        _failure = new IOException(reason);
        End();
        Wake();
    }

    /// <summary>Sends what there is.</summary>
    public void Send()
    {
        if (_hasEnded || _isOnLink || sender is { IsDead: true } || _sent == swarm.Plan.Bytes || _sent - _read > WindowBytes - PieceBytes)
        {
            return;
        }

        var available = sender?.Available ?? swarm.Plan.Bytes;
        var count = (int)Math.Min(PieceBytes, available - _sent);
        if (count <= 0)
        {
            Starve();
            return;
        }

        (_isOnLink, _isStarved, _sent) = (true, false, _sent + count);
        (sender?.Out ?? swarm.Registry).Send(count, () =>
        {
            _isOnLink = false;
            fed?.Sent(count, isBehind: sender!.IsComplete || sender.Available - _sent > LeastBehindBytes);
            if (!_hasEnded)
            {
                receiver.In.Send(count, () => Arrive(count));
            }

            Send();
        });
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        // What has been read before is with the receiver now.
        receiver.Grew();
        Send();
        while (_arrived == _read && _failure is null && _read < swarm.Plan.Bytes)
        {
            _wanted = new TaskCompletionSource();
            using var cancelled = cancellationToken.UnsafeRegister(static (wanted, token) => ((TaskCompletionSource)wanted!).TrySetCanceled(token), _wanted);
            await _wanted.Task;
        }

        var count = (int)Math.Min(buffer.Length, _arrived - _read);
        if (count == 0 && _failure is not null)
        {
            throw _failure;
        }

        swarm.Copy(_read, buffer.Span[..count]);
        _read += count;
        Send();
        return count;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush() => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    [SuppressMessage("Usage", "CA2215:Dispose methods should call base class dispose", Justification = "It would end here.")]
    protected override void Dispose(bool disposing) => End();

    private void Arrive(int count)
    {
        _arrived += count;
        receiver.Fetched += count;
        Wake();
    }

    private void Wake() => Interlocked.Exchange(ref _wanted, null)?.TrySetResult();

    /// <summary>The sender has nothing more to give for now. It cuts the answer when that lasts for longer than it may.</summary>
    private void Starve()
    {
        _isStarved = true;
        if (!_isWatched)
        {
            _isWatched = true;
            swarm.Time.After(Look, Watch);
        }
    }

    private void Watch()
    {
        _isWatched = false;
        if (!_isStarved || _hasEnded || sender is not { IsDead: false })
        {
            return;
        }

        if (sender.HasPatience)
        {
            Starve();
        }
        else
        {
            Break("the download stands still");
        }
    }

    private void End()
    {
        if (!_hasEnded)
        {
            _hasEnded = true;
            sender?.Serving.Remove(this);
            receiver.Ends(this);
            fed?.Dispose();
        }
    }
}
