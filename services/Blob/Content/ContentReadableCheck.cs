using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;

namespace SpegelDapr.Blob.Content;

/// <summary>
/// Ready when the content path can be read. The resolver's absence does not matter: then every answer is a prompt 404, which is what
/// containerd needs in order to go upstream.
/// </summary>
internal sealed class ContentReadableCheck(IOptions<BlobOptions> options) : IHealthCheck
{
    /// <inheritdoc/>
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        var blobs = Path.Combine(options.Value.ContentPath, "blobs");
        try
        {
            _ = Directory.EnumerateFileSystemEntries(blobs).Any();
            return Task.FromResult(HealthCheckResult.Healthy());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Task.FromResult(HealthCheckResult.Unhealthy($"{blobs} cannot be read: {e.Message}"));
        }
    }
}
