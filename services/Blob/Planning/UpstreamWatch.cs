using System.Collections.Concurrent;
using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Recording;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Planning;

/// <summary>
/// Learns how fast upstream is from what containerd really does: after a miss it goes there, and the file that it then commits says by its
/// time when the last byte had come.
/// </summary>
internal sealed class UpstreamWatch(LocalContent local, Routes routes, FlightRecorder recorder, BlobMetrics metrics, TimeProvider time) : BackgroundService
{
    private const int MostWatched = 4096;

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>By then a pull has failed, or has been given up.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(30);

    private readonly ConcurrentDictionary<Digest, Miss> _misses = new();

    /// <summary>
    /// The node's containerd has been told that there is no such content here, from that byte on. A later miss counts anew: containerd may try again.
    /// </summary>
    public void Missed(Digest digest, string registry, long first)
    {
        if (_misses.Count < MostWatched)
        {
            _misses[digest] = new Miss(registry, first, time.GetUtcNow());
        }
    }

    /// <summary>The node's containerd has been given the content here after all.</summary>
    public void Found(Digest digest) => _misses.TryRemove(digest, out _);

    /// <summary>Looks which of the misses have come meanwhile.</summary>
    public void Look()
    {
        var now = time.GetUtcNow();
        foreach (var (digest, miss) in _misses)
        {
            if (local.Identify(digest) is { } file)
            {
                _misses.TryRemove(KeyValuePair.Create(digest, miss));
                var duration = file.Written - miss.At.UtcDateTime;

                // Whatever was there before the miss was not fetched because of it. Others learn of it now, and may ask for it.
                if (duration > TimeSpan.Zero)
                {
                    local.VerifyAhead(digest);
                    var bytes = Math.Max(0, file.Length - miss.First);
                    routes.ReceivedFromUpstream(miss.Registry, bytes, duration);
                    metrics.ReceivedFromUpstream(miss.Registry, bytes, duration);
                    recorder.FetchedUpstream(digest, bytes, duration);
                }
            }
            else if (now - miss.At > Patience)
            {
                _misses.TryRemove(KeyValuePair.Create(digest, miss));
            }
        }
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                Look();
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The service stops.
        }
    }

    private sealed record Miss(string Registry, long First, DateTimeOffset At);
}
