using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace SpegelDapr.Discovery.Content;

/// <summary>Ready while the node's content can be read. Pulls do not wait for it: blob serves what is on disk either way.</summary>
internal sealed class ContentReadyCheck(IContentSource source) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
        Task.FromResult(source.IsReadable ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy("The node's content cannot be read; see the log."));
}
