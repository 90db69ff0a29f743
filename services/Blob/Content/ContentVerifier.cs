using System.Buffers;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using Microsoft.Extensions.Caching.Memory;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Content;

/// <summary>
/// Hashes local files against their digests, once each: the outcome is remembered for as long as the file's <see cref="FileIdentity"/>
/// stays. Requests that come meanwhile wait for the same run, and each may stop waiting without stopping the run, which the next one needs.
/// </summary>
internal sealed partial class ContentVerifier(
    BlobMetrics metrics, IHostApplicationLifetime lifetime, ILogger<ContentVerifier> logger) : IDisposable
{
    private const int BufferBytes = 256 * 1024;
    private const int MostRemembered = 100_000;

    private readonly MemoryCache _outcomes = new(new MemoryCacheOptions { SizeLimit = MostRemembered });
    private readonly ConcurrentDictionary<(Digest, FileIdentity), Lazy<Task<bool>>> _runs = new();
    private readonly SemaphoreSlim _runsAtOnce = new(Environment.ProcessorCount);

    /// <summary>Whether the file's bytes match the digest; <paramref name="open"/> opens it once more for a run of its own.</summary>
    public async Task<bool> MatchesAsync(Digest digest, FileIdentity identity, Func<LocalFile?> open, CancellationToken cancellation)
    {
        if (_outcomes.TryGetValue(digest, out Outcome? outcome) && outcome!.Identity == identity)
        {
            return outcome.Matches;
        }

        var run = _runs.GetOrAdd(
            (digest, identity),
            key => new Lazy<Task<bool>>(() => Task.Run(() => RunAsync(key.Item1, key.Item2, open))));
        return await run.Value.WaitAsync(cancellation);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _outcomes.Dispose();
        _runsAtOnce.Dispose();
    }

    private async Task<bool> RunAsync(Digest digest, FileIdentity identity, Func<LocalFile?> open)
    {
        try
        {
            await _runsAtOnce.WaitAsync(lifetime.ApplicationStopping);
            try
            {
                using var file = open();
                if (file is null || file.Identity != identity)
                {
                    return false;
                }

                var matches = Hash(file, digest, lifetime.ApplicationStopping) == digest;
                _outcomes.Set(digest, new Outcome(identity, matches), new MemoryCacheEntryOptions { Size = 1 });
                if (!matches)
                {
                    metrics.Corrupt("local");
                    Log.Corrupt(logger, digest);
                }

                return matches;
            }
            finally
            {
                _runsAtOnce.Release();
            }
        }
        catch (IOException e)
        {
            Log.Unreadable(logger, digest, e.Message);
            return false;
        }
        catch (OperationCanceledException)
        {
            // The service stops; whoever still waits is cut off with it.
            return false;
        }
        finally
        {
            _runs.TryRemove((digest, identity), out _);
        }
    }

    private static Digest Hash(LocalFile file, Digest digest, CancellationToken cancellation)
    {
        using var hash = IncrementalHash.CreateHash(digest.HashAlgorithm);
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            for (long offset = 0; ;)
            {
                cancellation.ThrowIfCancellationRequested();
                var read = file.Read(buffer, offset);
                if (read == 0)
                {
                    return Digest.FromHash(digest.HashAlgorithm, hash.GetHashAndReset());
                }

                hash.AppendData(buffer.AsSpan(0, read));
                offset += read;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private sealed record Outcome(FileIdentity Identity, bool Matches);

    private static partial class Log
    {
        [LoggerMessage(
            LogLevel.Error,
            "Local content {Digest} does not match its digest. It is not served; remove the image and pull it again.")]
        public static partial void Corrupt(ILogger logger, Digest digest);

        [LoggerMessage(LogLevel.Warning, "Local content {Digest} could not be read to the end and counts as absent: {Reason}")]
        public static partial void Unreadable(ILogger logger, Digest digest, string reason);
    }
}
