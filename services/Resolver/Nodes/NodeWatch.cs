using SpegelDapr.ServiceDefaults.Kubernetes;

namespace SpegelDapr.Resolver.Nodes;

/// <summary>
/// Keeps <see cref="ClusterNodes"/> up to date: lists the nodes, then watches what changes. A watch that ends or is lost is resumed where it was;
/// one that the API server refuses, mostly with 410 Gone because it no longer remembers so far back, starts anew with a list.
/// </summary>
internal sealed partial class NodeWatch(NodeApi api, ClusterNodes nodes, TimeProvider time, ILogger<NodeWatch> logger) : BackgroundService
{
    /// <summary>The time between two watches, so that a server that ends each at once is not asked without pause.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(500);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var retry = new ApiServerRetry("Watching nodes", time, logger);
        string? version = null;
        while (true)
        {
            try
            {
                version ??= await ListAsync(stoppingToken);
                await foreach (var change in api.WatchAsync(version, stoppingToken))
                {
                    retry.Succeeded();
                    nodes.Apply(change);
                    version = change.ResourceVersion;
                }

                retry.Succeeded();
                await Task.Delay(Pause, time, stoppingToken);
            }
            catch (NodeApiException e)
            {
                version = e.IsRefusal ? null : version;
                await retry.WaitAsync(e, stoppingToken);
            }
        }
    }

    private async Task<string> ListAsync(CancellationToken cancellation)
    {
        var list = await api.ListAsync(cancellation);
        nodes.Replace(list.Nodes);
        Log.Listed(logger, list.Nodes.Count, string.Join(", ", nodes.Locations));
        return list.ResourceVersion;
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "Watching {Count} nodes in {Locations}")]
        public static partial void Listed(ILogger logger, int count, string locations);
    }
}
