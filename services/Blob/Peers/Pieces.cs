using System.Buffers.Binary;
using System.IO.Hashing;

namespace SpegelDapr.Blob.Peers;

/// <summary>
/// Content in pieces, as nodes that follow one another send it: before each piece its length and its sum, in network byte order. The digest tells nothing before
/// the end, and what containerd has been given cannot be taken back. So a piece that has changed on the way is neither given to it nor passed on.
/// </summary>
internal static class Pieces
{
    /// <summary>The most bytes of content in a piece. Each node of a chain waits until it has a whole one, so it is short.</summary>
    public const int MostBytes = (64 * 1024) - HeadBytes;

    /// <summary>The bytes before a piece.</summary>
    public const int HeadBytes = sizeof(int) + sizeof(ulong);

    /// <summary>Writes a piece of the content, which begins there at the offset; returns how many bytes that are.</summary>
    public static int Write(ReadOnlySpan<byte> piece, long offset, Span<byte> to)
    {
        BinaryPrimitives.WriteInt32BigEndian(to, piece.Length);
        BinaryPrimitives.WriteUInt64BigEndian(to[sizeof(int)..], SumOf(piece, offset));
        piece.CopyTo(to[HeadBytes..]);
        return HeadBytes + piece.Length;
    }

    /// <summary>The length and the sum in the bytes before a piece.</summary>
    public static (int Length, ulong Sum) ReadHead(ReadOnlySpan<byte> head) =>
        (BinaryPrimitives.ReadInt32BigEndian(head), BinaryPrimitives.ReadUInt64BigEndian(head[sizeof(int)..]));

    /// <summary>A piece's sum, which is another one at another place.</summary>
    public static ulong SumOf(ReadOnlySpan<byte> piece, long offset) => XxHash3.HashToUInt64(piece, offset);
}

/// <summary>Reads the content out of a body in pieces.</summary>
/// <param name="body">The body.</param>
/// <param name="offset">Where in the content it begins.</param>
/// <param name="left">How many bytes of content are in it.</param>
internal sealed class PieceReader(Stream body, long offset, long left)
{
    private readonly byte[] _head = new byte[Pieces.HeadBytes];
    private readonly byte[] _piece = new byte[Pieces.MostBytes];
    private int _given;
    private int _length;

    /// <summary>Reads the next bytes, all of which are as they were sent.</summary>
    /// <exception cref="PeerException">They are not.</exception>
    /// <exception cref="IOException">The body ends too early, or the connection broke.</exception>
    public async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellation)
    {
        if (_given == _length)
        {
            await ReadPieceAsync(cancellation);
        }

        var count = Math.Min(buffer.Length, _length - _given);
        _piece.AsMemory(_given, count).CopyTo(buffer);
        _given += count;
        return count;
    }

    private async ValueTask ReadPieceAsync(CancellationToken cancellation)
    {
        await body.ReadExactlyAsync(_head, cancellation);
        var (length, sum) = Pieces.ReadHead(_head);
        if (length is <= 0 or > Pieces.MostBytes || length > left)
        {
            throw new PeerException($"a piece of {length} bytes") { IsCorrupt = true };
        }

        await body.ReadExactlyAsync(_piece.AsMemory(0, length), cancellation);
        if (Pieces.SumOf(_piece.AsSpan(0, length), offset) != sum)
        {
            throw new PeerException("its bytes have changed on the way") { IsCorrupt = true };
        }

        (_given, _length, offset, left) = (0, length, offset + length, left - length);
    }
}
