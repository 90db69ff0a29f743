using System.Security.Cryptography;
using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>Part of the content has been given out when the whole turned out not to match its digest.</summary>
internal sealed class CorruptContentException() : Exception("Content from peers does not match its digest.");

/// <summary>
/// Hashes content while it is read from peers, and gives its last <see cref="HeldBackBytes"/> out only when the hash matches. Content no longer than that is
/// thus verified before its first byte, and other peers are asked when it does not match.
/// </summary>
internal sealed partial class VerifyingReader(ResumingReader reader, Ingests ingests, PeerHealth health, BlobMetrics metrics, ILogger logger) : IDisposable
{
    /// <summary>How much of the end is held back; a buffer to read into must be at least as large.</summary>
    public const int HeldBackBytes = 1024 * 1024;

    /// <summary>Null for a part, which cannot be hashed against the digest: a client that continues an interrupted pull hashes the whole itself.</summary>
    private readonly IncrementalHash? _hash = reader.Part.IsWhole ? IncrementalHash.CreateHash(reader.Part.Digest.HashAlgorithm) : null;

    private bool _complete;

    /// <summary>The content's length; known after the first read.</summary>
    public long Total => reader.Total;

    /// <summary>Whether all of the content has been read, and matches its digest.</summary>
    public bool IsVerified => _complete && _hash is not null;

    /// <summary>The peer that gave the last bytes that were read; known after the first read.</summary>
    public Holder Holder => reader.Holder;

    /// <summary>Whether that peer is still downloading the content itself.</summary>
    public bool IsRelayed => reader.IsRelayed;

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
            await reader.BeginAsync();
            var holdFrom = _hash is null ? reader.End : Math.Max(0, reader.End - HeldBackBytes);
            if (reader.Offset < holdFrom)
            {
                var read = await ReadOnceAsync(buffer[..(int)Math.Min(buffer.Length, holdFrom - reader.Offset)]);
                reader.HasGivenOut = true;
                return read;
            }

            while (reader.Offset < reader.End)
            {
                held += await ReadOnceAsync(buffer[held..]);
            }

            if (_hash is null || Digest.FromHash(reader.Part.Digest.HashAlgorithm, _hash.GetHashAndReset()) == reader.Part.Digest)
            {
                _complete = true;
                return held;
            }

            Condemn();
            held = 0;
        }

        return 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        reader.Dispose();
        _hash?.Dispose();
    }

    private async ValueTask<int> ReadOnceAsync(Memory<byte> buffer)
    {
        var read = await reader.ReadAsync(buffer);
        _hash?.AppendData(buffer.Span[..read]);
        return read;
    }

    /// <summary>
    /// No node gets any longer what has come. Who sent the wrong byte is known when all came from one node that has the content whole; which of several did cannot be
    /// told, and one that is still downloading has got it from another.
    /// </summary>
    private void Condemn()
    {
        metrics.Corrupt("peer");
        ingests.Condemn(reader.Part.Digest);
        foreach (var (holder, isRelayed) in reader.Contributors)
        {
            Log.Corrupt(logger, holder.Node.Name, reader.Part.Digest);
            if (isRelayed || reader.Contributors.Count > 1)
            {
                health.Suspect(holder.Node.Name, reader.Part.Digest);
            }
            else
            {
                health.Shun(holder.Node.Name, reader.Part.Digest);
            }
        }

        if (reader.HasGivenOut)
        {
            throw new CorruptContentException();
        }

        reader.Restart();
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Error, "What node {Node} sent of {Digest}, alone or with others, does not match the digest; for a while it is not asked again")]
        public static partial void Corrupt(ILogger logger, NodeName node, Digest digest);
    }
}
