using Dapr;
using Dapr.Client;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Resolver.Store;

/// <summary>
/// Waits for the sidecar and then checks that its state store can do what leases and holders rest on. The service is ready from then on, also while the store
/// is away: what is remembered is answered, and with all replicas unready Dapr would find none to ask. If the store cannot do it, the service stops with one
/// line that says so.
/// </summary>
internal sealed partial class StoreCheck(
    DaprClient dapr, IConfiguration configuration, IHostApplicationLifetime lifetime, TimeProvider time, ILogger<StoreCheck> logger)
    : BackgroundService, IHealthCheck
{
    private static readonly TimeSpan AttemptBudget = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AttemptInterval = TimeSpan.FromMilliseconds(500);

    private volatile bool _isReady;
    private volatile string _waitingFor = "the Dapr sidecar has not been asked yet";
    private string? _problem;

    /// <inheritdoc/>
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) => Task.FromResult(
        _isReady ? HealthCheckResult.Healthy() : HealthCheckResult.Unhealthy(_waitingFor));

    /// <summary>Stops waiting.</summary>
    /// <exception cref="OptionsValidationException">The sidecar has no such store, so the service could not run.</exception>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        if (_problem is not null)
        {
            throw new OptionsValidationException(DaprNames.HolderStore, typeof(StoreCheck), [_problem]);
        }
    }

    /// <summary>What is wrong with the sidecar's components; null when they will do.</summary>
    internal static string? Problem(DaprMetadata metadata) => metadata.Components.FirstOrDefault(component => component.Name == DaprNames.HolderStore) switch
    {
        null => $"Dapr has no component '{DaprNames.HolderStore}': add a state store of that name to the components of app '{metadata.Id}'.",
        { Type: var type } when !type.StartsWith("state.", StringComparison.Ordinal) =>
            $"The Dapr component '{DaprNames.HolderStore}' is of type {type}: it must be a state store, such as state.redis.",
        { Type: var type, Capabilities: var capabilities } when !capabilities.Contains("ETAG") =>
            $"The Dapr state store '{DaprNames.HolderStore}' of type {type} has no ETags: choose one that has, such as state.redis or state.postgresql.",
        _ => null,
    };

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var started = time.GetTimestamp();
        var metadata = await ReadMetadataAsync(stoppingToken);
        _problem = Problem(metadata);
        if (_problem is null)
        {
            _isReady = true;
            Log.Ready(logger, time.GetElapsedTime(started).TotalSeconds, DaprNames.HolderStore);
        }
        else
        {
            lifetime.StopApplication();
        }
    }

    /// <summary>Asks until the sidecar answers: it and its app start in any order.</summary>
    private async Task<DaprMetadata> ReadMetadataAsync(CancellationToken stopping)
    {
        for (var isFirst = true; ; isFirst = false)
        {
            using var budget = CancellationTokenSource.CreateLinkedTokenSource(stopping);
            budget.CancelAfter(AttemptBudget);
            try
            {
                return await dapr.GetMetadataAsync(budget.Token);
            }
            catch (Exception e) when (e is DaprException || (e is OperationCanceledException && !stopping.IsCancellationRequested))
            {
                _waitingFor = SidecarFailure.Describe(e, configuration);
                if (isFirst)
                {
                    Log.Waiting(logger, _waitingFor);
                }
            }

            await Task.Delay(AttemptInterval, time, stopping);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "The Dapr sidecar is up, after {Seconds:0.0} s, and its state store '{Store}' has ETags")]
        public static partial void Ready(ILogger logger, double seconds, string store);

        [LoggerMessage(LogLevel.Information, "Waiting for the Dapr sidecar: {Reason}")]
        public static partial void Waiting(ILogger logger, string reason);
    }
}
