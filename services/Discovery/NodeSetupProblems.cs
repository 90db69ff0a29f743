using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;

namespace SpegelDapr.Discovery;

/// <summary>
/// What the init container has found to keep the node's containerd from using the mirror, as the pod runs all the same: told in the figures and in the body
/// of <c>/readyz</c>. It is as old as the pod.
/// </summary>
internal sealed class NodeSetupProblems : IHealthCheck
{
    private readonly IOptions<DiscoveryOptions> _options;

    /// <summary>Has the figure observed.</summary>
    public NodeSetupProblems(IOptions<DiscoveryOptions> options, DiscoveryMetrics metrics)
    {
        _options = options;
        metrics.Observe(() => Read()?.Length);
    }

    /// <inheritdoc/>
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) => Task.FromResult(
        Read() is { Length: > 0 } problems ? HealthCheckResult.Degraded(string.Join(' ', problems)) : HealthCheckResult.Healthy());

    /// <summary>The problems, a line each; null when nothing is known.</summary>
    private string[]? Read()
    {
        try
        {
            return _options.Value.ProblemsPath is { Length: > 0 } path ? File.ReadAllLines(path) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
