using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Local;

/// <summary>A download that containerd has begun.</summary>
/// <param name="Digest">What it will be.</param>
/// <param name="DataPath">The file that grows.</param>
/// <param name="Total">Its length in bytes when it is complete.</param>
/// <param name="Sums">What has been read of it.</param>
internal sealed record Ingest(Digest Digest, string DataPath, long Total, ChunkSums Sums);

/// <summary>
/// containerd's downloads: directories <c>ingest/&lt;id&gt;</c> below the content path, with a growing file <c>data</c>, a file <c>ref</c> that ends in the
/// kind and digest of what is downloaded, such as <c>layer-sha256:…</c> or, from containerd 2 on, <c>layer-name@sha256:…</c>, and a file <c>total</c> with
/// its size (containerd, content/local/store.go and remotes/handlers.go; 2.x keeps them in plugins/content/local and core/remotes). containerd begins
/// one before it asks the mirror.
/// </summary>
internal sealed partial class Ingests(
    LocalContent local,
    Feeds feeds,
    IOptions<BlobOptions> options,
    BlobMetrics metrics,
    TimeProvider time,
    IHostApplicationLifetime lifetime,
    ILogger<Ingests> logger) : IDisposable
{
    private const int MostRemembered = 10_000;

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan SumsLive = TimeSpan.FromMinutes(2);

    private readonly string _root = Path.Combine(Path.GetFullPath(options.Value.ContentPath), "ingest");
    private readonly ConcurrentDictionary<Digest, ChunkSums> _readAlong = new();
    private readonly MemoryCache _sums = new(new MemoryCacheOptions { SizeLimit = MostRemembered });

    /// <summary>
    /// The download of this content, for which is waited a little; null when there is none, or when the content has become complete meanwhile.
    /// </summary>
    public async Task<GrowingFile?> FindAsync(Digest digest, CancellationToken cancellation)
    {
        var started = time.GetTimestamp();
        while (!local.Has(digest) && !SumsOf(digest).IsCorrupt)
        {
            if (TryOpen(digest) is { } file)
            {
                return file;
            }

            if (time.GetElapsedTime(started) >= options.Value.PeerConnectBudget)
            {
                return null;
            }

            await Task.Delay(Interval, time, cancellation);
        }

        return null;
    }

    /// <summary>Whether containerd is downloading this content now, from any source.</summary>
    public bool Has(Digest digest)
    {
        try
        {
            return Of(digest).Any();
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            // There is none yet, or one has just ended. Who asks for what is being downloaded asks again.
            return false;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Log.Unreadable(logger, digest, e.Message);
            return false;
        }
    }

    /// <summary>How many bytes of this content have come, from the first on; null when it is not being downloaded.</summary>
    public long? ProgressOf(Digest digest)
    {
        using var file = TryOpen(digest);
        return file?.Progress;
    }

    /// <summary>Reads along with a download that is about to begin here, in the background.</summary>
    public void ReadAlong(Digest digest)
    {
        if (_readAlong.TryAdd(digest, SumsOf(digest)))
        {
            _ = ReadAlongAsync(digest);
        }
    }

    /// <summary>What is known of the chunks of this download.</summary>
    public ChunkSums SumsOf(Digest digest)
    {
        lock (_sums)
        {
            return _readAlong.GetValueOrDefault(digest) ?? _sums.Get<ChunkSums>(digest) ?? Keep(digest, new ChunkSums());
        }
    }

    /// <summary>Gives this download to no other node any longer, since what has come does not match its digest.</summary>
    public void Condemn(Digest digest) => SumsOf(digest).Condemn();

    /// <inheritdoc/>
    public void Dispose() => _sums.Dispose();

    private async Task ReadAlongAsync(Digest digest)
    {
        try
        {
            using var file = await FindAsync(digest, lifetime.ApplicationStopping);
            if (file is not null)
            {
                await file.ReadAlongAsync(lifetime.ApplicationStopping);
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The download has ended, or the service does. Those that follow it find out for themselves.
        }
        finally
        {
            // Those that follow read on.
            Keep(digest, _readAlong[digest]);
            _readAlong.TryRemove(digest, out _);
        }
    }

    /// <summary>Opens the download of this content that has come farthest: each of containerd's namespaces may have one of its own.</summary>
    private GrowingFile? TryOpen(Digest digest)
    {
        try
        {
            var data = Of(digest)
                .Select(ingest => new FileInfo(Path.Combine(ingest, "data")))
                .Where(data => data.Exists)
                .MaxBy(data => data.Length);
            return data is not null && ReadTotal(data) is { } total
                ? new GrowingFile(
                    new Ingest(digest, data.FullName, total, SumsOf(digest)),
                    File.OpenHandle(data.FullName, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete),
                    local,
                    feeds,
                    metrics,
                    time)
                : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            // It has just been committed or given up.
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Log.Unreadable(logger, digest, e.Message);
            return null;
        }
    }

    private IEnumerable<string> Of(Digest digest) => Directory.EnumerateDirectories(_root).Where(ingest => IsOf(ingest, digest));

    private static bool IsOf(string ingest, Digest digest)
    {
        try
        {
            var path = Path.Combine(ingest, "ref");
            return File.Exists(path) && File.ReadAllText(path).EndsWith(digest.ToString(), StringComparison.Ordinal);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            // Another one has just ended, which does not concern this one.
            return false;
        }
    }

    private static long? ReadTotal(FileInfo data) =>
        long.TryParse(File.ReadAllText(Path.Combine(data.DirectoryName!, "total")), NumberStyles.None, CultureInfo.InvariantCulture, out var total) && total > 0
            ? total
            : null;

    private ChunkSums Keep(Digest digest, ChunkSums sums) => _sums.Set(digest, sums, new MemoryCacheEntryOptions { Size = 1, SlidingExpiration = SumsLive });

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "The download of {Digest} cannot be read, so no node can follow it: {Reason}")]
        public static partial void Unreadable(ILogger logger, Digest digest, string reason);
    }
}
