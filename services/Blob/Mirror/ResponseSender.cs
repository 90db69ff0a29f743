using System.IO.Pipelines;

namespace SpegelDapr.Blob.Mirror;

/// <summary>
/// Sends the body of one answer. It gives up, by an <see cref="IOException"/> that has the connection closed in order, when the client reads nothing for
/// too long, and when the service stops: whoever still gets something after that finds the connection reset, after which containerd gives up the pull.
/// </summary>
internal sealed class ResponseSender : IDisposable
{
    /// <summary>A containerd whose disk is busy stalls for less.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly PipeWriter _writer;
    private readonly CancellationToken _aborted;
    private readonly CancellationTokenSource _patience;
    private readonly CancellationTokenRegistration _stopping;

    /// <param name="context">The request that is answered.</param>
    /// <param name="time">Measures patience.</param>
    /// <param name="stopping">Is cancelled when the service stops.</param>
    public ResponseSender(HttpContext context, TimeProvider time, CancellationToken stopping)
    {
        (_writer, _aborted) = (context.Response.BodyWriter, context.RequestAborted);
        _patience = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        _ = _patience.Token.UnsafeRegister(static writer => ((PipeWriter)writer!).CancelPendingFlush(), _writer);
        _stopping = stopping.UnsafeRegister(static writer => ((PipeWriter)writer!).CancelPendingFlush(), _writer);
    }

    /// <summary>Memory to put the next bytes into.</summary>
    public Memory<byte> GetMemory(int size) => _writer.GetMemory(size);

    /// <summary>Sends the headers, and the bytes that have been put into the memory.</summary>
    /// <exception cref="IOException">The client reads nothing, or the service stops.</exception>
    public async ValueTask SendAsync(int bytes)
    {
        if (bytes > 0)
        {
            _writer.Advance(bytes);
        }

        _patience.CancelAfter(Patience);
        var flushed = await _writer.FlushAsync(_aborted);
        if (flushed.IsCanceled)
        {
            throw new IOException(_patience.IsCancellationRequested ? "the client does not read" : "the service stops");
        }

        // What is to be sent next may take its time.
        _patience.CancelAfter(Timeout.InfiniteTimeSpan);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopping.Dispose();
        _patience.Dispose();
    }
}
