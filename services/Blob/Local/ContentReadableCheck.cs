using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;

namespace SpegelDapr.Blob.Local;

/// <summary>
/// Ready when the content path can be read. A containerd that has never committed anything has no <c>blobs/</c> yet, but <c>ingest/</c> from its start.
/// The resolver's absence does not matter: then every answer is a prompt 404, which is what containerd needs in order to go upstream.
/// </summary>
internal sealed partial class ContentReadableCheck(IOptions<BlobOptions> options, ILogger<ContentReadableCheck> logger) : IHealthCheck
{
    private int _isUnreadable;

    /// <inheritdoc/>
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var blobs = Path.Combine(options.Value.ContentPath, "blobs");
        var ingest = Path.Combine(options.Value.ContentPath, "ingest");
        try
        {
            _ = Directory.EnumerateFileSystemEntries(!Directory.Exists(blobs) && Directory.Exists(ingest) ? ingest : blobs).Any();
            if (Interlocked.Exchange(ref _isUnreadable, 0) == 1)
            {
                Log.Readable(logger, blobs);
            }

            return Task.FromResult(HealthCheckResult.Healthy());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (Interlocked.Exchange(ref _isUnreadable, 1) == 0)
            {
                Log.Unreadable(logger, blobs, e.Message);
            }

            return Task.FromResult(HealthCheckResult.Unhealthy($"{blobs} cannot be read: {e.Message}"));
        }
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "{Directory} cannot be read, so the mirror is not ready: {Reason}")]
        public static partial void Unreadable(ILogger logger, string directory, string reason);

        [LoggerMessage(LogLevel.Information, "{Directory} can be read")]
        public static partial void Readable(ILogger logger, string directory);
    }
}
