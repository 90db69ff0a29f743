namespace SpegelDapr.Cli.Demo;

/// <summary>The body of an answer, which takes its time on each of the links that it goes over.</summary>
/// <param name="inner">The body.</param>
/// <param name="links">The links.</param>
/// <param name="sent">Is told how many bytes have gone.</param>
internal sealed class PacedBody(Stream inner, IReadOnlyList<Link> links, Action<int> sent) : Stream
{
    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (!buffer.IsEmpty)
        {
            var count = Math.Min(buffer.Length, Link.ChunkBytes);
            foreach (var link in links)
            {
                await link.CarryAsync(count, cancellationToken);
            }

            await inner.WriteAsync(buffer[..count], cancellationToken);
            sent(count);
            buffer = buffer[count..];
        }
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

    public override void Flush() => throw new NotSupportedException();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
