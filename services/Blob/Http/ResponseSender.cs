using System.IO.Pipelines;
using SpegelDapr.Blob.Peers;

namespace SpegelDapr.Blob.Http;

/// <summary>
/// Sends the body of one answer. When the service stops it gives up by an <see cref="IOException"/>, after which Kestrel closes the connection in order:
/// what is still being sent at the end finds it reset, upon which containerd gives up the pull. Who reads nothing for minutes is hung up on.
/// </summary>
internal sealed class ResponseSender : IDisposable
{
    /// <summary>A containerd whose disk is busy stalls for less.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private readonly PipeWriter _writer;
    private readonly CancellationToken _aborted;
    private readonly CancellationTokenSource _patience;
    private readonly CancellationTokenRegistration _hangUp;
    private readonly TaskCompletionSource _stops = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenRegistration _stopping;

    /// <param name="context">The request that is answered.</param>
    /// <param name="time">Measures patience.</param>
    /// <param name="stopping">Is cancelled when the service stops.</param>
    public ResponseSender(HttpContext context, TimeProvider time, CancellationToken stopping)
    {
        (_writer, _aborted) = (context.Response.BodyWriter, context.RequestAborted);
        _patience = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        _hangUp = _patience.Token.UnsafeRegister(static context => ((HttpContext)context!).Abort(), context);
        _stopping = stopping.UnsafeRegister(static stops => ((TaskCompletionSource)stops!).TrySetResult(), _stops);
    }

    /// <summary>Memory to put the next bytes into.</summary>
    public Memory<byte> GetMemory(int size) => _writer.GetMemory(size);

    /// <summary>Sends the headers, and the bytes that have been put into the memory.</summary>
    /// <exception cref="IOException">The service stops.</exception>
    public async ValueTask SendAsync(int bytes)
    {
        if (bytes > 0)
        {
            _writer.Advance(bytes);
        }

        // Kestrel would reset the connection if the flush itself were cancelled.
        var flush = _writer.FlushAsync(_aborted).AsTask();
        if (!flush.IsCompleted)
        {
            _patience.CancelAfter(Patience);
            await Task.WhenAny(flush, _stops.Task);
            _patience.CancelAfter(Timeout.InfiniteTimeSpan);
        }

        if (_stops.Task.IsCompleted)
        {
            throw new IOException("the service stops");
        }

        await flush;
    }

    /// <summary>Sends bytes of content, which begin there at the offset, in <see cref="Pieces"/>.</summary>
    /// <exception cref="IOException">The service stops.</exception>
    public ValueTask SendPiecesAsync(ReadOnlySpan<byte> content, long offset)
    {
        while (!content.IsEmpty)
        {
            var piece = content[..Math.Min(content.Length, Pieces.MostBytes)];
            _writer.Advance(Pieces.Write(piece, offset, _writer.GetSpan(Pieces.HeadBytes + piece.Length)));
            content = content[piece.Length..];
            offset += piece.Length;
        }

        return SendAsync(0);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopping.Dispose();
        _hangUp.Dispose();
        _patience.Dispose();
    }
}
