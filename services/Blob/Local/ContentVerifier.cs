using System.Buffers;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Local;

/// <summary>
/// Hashes local files against their digests. An outcome is remembered while the file's <see cref="FileIdentity"/> stays, but not for ever:
/// a disk may change bytes and no time with them. Requests that come meanwhile wait for the same run, and each may stop waiting without
/// stopping the run, which the next one needs.
/// </summary>
internal sealed partial class ContentVerifier(
    IOptions<BlobOptions> options, BlobMetrics metrics, TimeProvider time, IHostApplicationLifetime lifetime, ILogger<ContentVerifier> logger) : IDisposable
{
    /// <summary>What is hashed in some milliseconds, such as every manifest, does not queue behind what takes a minute.</summary>
    public const long SmallBytes = 4 * 1024 * 1024;

    /// <summary>How long an outcome counts.</summary>
    public static readonly TimeSpan Holds = TimeSpan.FromHours(12);

    private const int BufferBytes = 256 * 1024;
    private const int MostRemembered = 100_000;

    /// <summary>How long another node waits to hear that large content is still being checked: less than until it asks the next one as well.</summary>
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(50);

    /// <summary>How long containerd may take to commit what it has received: it waits until the disk has all of it (content/local/writer.go).</summary>
    private static readonly TimeSpan CommitBudget = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan CommitInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>By how much the time of a file may be behind the clock: the kernel takes it from its last tick.</summary>
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(10);

    private readonly MemoryCache _outcomes = new(new MemoryCacheOptions { SizeLimit = MostRemembered });
    private readonly ConcurrentDictionary<(Digest, FileIdentity), Lazy<Task<bool>>> _runs = new();
    private readonly SemaphoreSlim _runsAtOnce = new(Environment.ProcessorCount);
    private readonly ConcurrentDictionary<Digest, bool> _ahead = new();
    private readonly SemaphoreSlim _aheadAtOnce = new(1);
    private readonly ConcurrentDictionary<Digest, Received> _received = new();

    /// <summary>
    /// Whether the file's bytes match the digest; <paramref name="open"/> opens it once more for a run of its own. False as well when
    /// that is not known within <see cref="BlobOptions.PeerStartBudget"/>: upstream is then sooner. The run goes on for those who ask later.
    /// </summary>
    public async Task<bool> MatchesAsync(Digest digest, FileIdentity identity, Func<LocalFile?> open, CancellationToken cancellation)
    {
        if (await MatchesAsync(digest, identity, open, options.Value.PeerStartBudget, cancellation) is { } matches)
        {
            return matches;
        }

        Log.Late(logger, digest);
        return false;
    }

    /// <summary>
    /// The same for another node, which may ask others meanwhile: null at once when large content is still being checked, and when small content is for longer
    /// than <see cref="BlobOptions.PeerStartBudget"/>.
    /// </summary>
    public Task<bool?> MatchesForPeerAsync(Digest digest, FileIdentity identity, Func<LocalFile?> open, CancellationToken cancellation) =>
        MatchesAsync(digest, identity, open, identity.Length <= SmallBytes ? options.Value.PeerStartBudget : Moment, cancellation);

    /// <summary>
    /// Takes what the node's containerd now commits for checked: this many bytes have been given to it just now, and they matched. That is a file which is
    /// first seen within a minute, has that length and was written since. One that was there before may have other bytes, and so may one that is written
    /// later, or again.
    /// </summary>
    public async Task ReceivedAsync(Digest digest, long length, Func<FileIdentity?> identify)
    {
        var received = new Received(length, time.GetUtcNow().UtcDateTime - Tick, time.GetTimestamp());
        if (!_received.TryAdd(digest, received))
        {
            return;
        }

        try
        {
            while (time.GetElapsedTime(received.Known) < CommitBudget)
            {
                if (identify() is { } file)
                {
                    Recall(digest, file);
                    return;
                }

                await Task.Delay(CommitInterval, time, lifetime.ApplicationStopping);
            }
        }
        catch (OperationCanceledException)
        {
            // The service stops.
        }
        finally
        {
            _received.TryRemove(digest, out _);
        }
    }

    /// <summary>
    /// Hashes what may be asked for soon. One after another, and beside the places of what is asked for: it makes nobody wait. What is
    /// asked for while it waits here does not wait with it.
    /// </summary>
    public async Task MatchAheadAsync(Digest digest, Func<LocalFile?> open)
    {
        if (!_ahead.TryAdd(digest, true))
        {
            return;
        }

        try
        {
            await _aheadAtOnce.WaitAsync(lifetime.ApplicationStopping);
            try
            {
                using var file = open();
                if (file is not null && Recall(digest, file.Identity) is null)
                {
                    await StartRun(digest, file.Identity, open, isAhead: true);
                }
            }
            finally
            {
                _aheadAtOnce.Release();
            }
        }
        catch (OperationCanceledException)
        {
            // The service stops.
        }
        finally
        {
            _ahead.TryRemove(digest, out _);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _outcomes.Dispose();
        _runsAtOnce.Dispose();
        _aheadAtOnce.Dispose();
    }

    private async Task<bool?> MatchesAsync(
        Digest digest, FileIdentity identity, Func<LocalFile?> open, TimeSpan patience, CancellationToken cancellation)
    {
        if (Recall(digest, identity) is { } known)
        {
            return known;
        }

        try
        {
            return await StartRun(digest, identity, open, isAhead: false).WaitAsync(patience, time, cancellation);
        }
        catch (TimeoutException)
        {
            return null;
        }
    }

    private bool? Recall(Digest digest, FileIdentity identity)
    {
        if (_outcomes.TryGetValue(digest, out Outcome? outcome) && outcome!.Identity == identity && time.GetElapsedTime(outcome.Known) < Holds)
        {
            return outcome.Matches;
        }

        if (_received.TryGetValue(digest, out var received) && received.Fits(identity))
        {
            Remember(digest, new Outcome(identity, Matches: true, received.Known));
            return true;
        }

        return null;
    }

    private void Remember(Digest digest, Outcome outcome) => _outcomes.Set(digest, outcome, new MemoryCacheEntryOptions { Size = 1 });

    private Task<bool> StartRun(Digest digest, FileIdentity identity, Func<LocalFile?> open, bool isAhead) =>
        _runs.GetOrAdd(
            (digest, identity),
            _ => new Lazy<Task<bool>>(() => Task.Run(() => RunAsync(digest, identity, open, isAhead)))).Value;

    private async Task<bool> RunAsync(Digest digest, FileIdentity identity, Func<LocalFile?> open, bool isAhead)
    {
        var stopping = lifetime.ApplicationStopping;
        try
        {
            if (identity.Length <= SmallBytes)
            {
                return Check(digest, identity, open);
            }

            if (!isAhead)
            {
                await _runsAtOnce.WaitAsync(stopping);
            }

            try
            {
                // A thread of its own: the pool's would be lacking for requests, and it adds others only slowly.
                return await Task.Factory.StartNew(
                    () => Check(digest, identity, open), stopping, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            }
            finally
            {
                if (!isAhead)
                {
                    _runsAtOnce.Release();
                }
            }
        }
        catch (IOException e)
        {
            Log.Unreadable(logger, digest, e.Message);
            return false;
        }
        catch (OperationCanceledException)
        {
            // The service stops; what still waits is cut off with it.
            return false;
        }
        finally
        {
            _runs.TryRemove((digest, identity), out _);
        }
    }

    private bool Check(Digest digest, FileIdentity identity, Func<LocalFile?> open)
    {
        using var file = open();
        if (file is null || file.Identity != identity)
        {
            return false;
        }

        var matches = Hash(file, digest, lifetime.ApplicationStopping) == digest;
        Remember(digest, new Outcome(identity, matches, time.GetTimestamp()));
        if (!matches)
        {
            metrics.Corrupt("local");
            Log.Corrupt(logger, digest);
        }

        return matches;
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

    private sealed record Outcome(FileIdentity Identity, bool Matches, long Known);

    private sealed record Received(long Length, DateTime Earliest, long Known)
    {
        public bool Fits(FileIdentity file) => file.Length == Length && file.Written >= Earliest;
    }

    private static partial class Log
    {
        [LoggerMessage(
            LogLevel.Error,
            "Local content {Digest} does not match its digest. It is not served; remove the image and pull it again.")]
        public static partial void Corrupt(ILogger logger, Digest digest);

        [LoggerMessage(LogLevel.Information, "Local content {Digest} is still being checked and counts as absent until then.")]
        public static partial void Late(ILogger logger, Digest digest);

        [LoggerMessage(LogLevel.Warning, "Local content {Digest} could not be read to the end and counts as absent: {Reason}")]
        public static partial void Unreadable(ILogger logger, Digest digest, string reason);
    }
}
