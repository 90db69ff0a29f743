using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.ServiceDefaults.Kubernetes;

/// <summary>
/// Where this node is, by its labels in Kubernetes. A service that runs on a node learns it before it is built and listens to nothing until it
/// knows: a mirror that refuses connections is the promptest of misses.
/// </summary>
public static partial class NodeLocation
{
    private const string RegionKey = $"{NodeOptions.Section}:{nameof(NodeOptions.Region)}";
    private const string ZoneKey = $"{NodeOptions.Section}:{nameof(NodeOptions.Zone)}";

    /// <summary>
    /// Waits until the API server has answered, for as long as it takes. Nothing is asked when Kubernetes is not enabled, or when the settings
    /// <c>Node:Region</c> and <c>Node:Zone</c> say it all; each of them that is given wins over its label.
    /// </summary>
    /// <param name="args">The service's arguments, from which its settings are read as it will read them.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>Adds the settings that have been learned to those of the service.</returns>
    /// <exception cref="OptionsValidationException">A setting is wrong, or it is not said how to reach the API server.</exception>
    public static async Task<Action<WebApplicationBuilder>> LearnAsync(string[] args, CancellationToken cancellation)
    {
        using var configuration = WebApplication.CreateSlimBuilder(["--hostBuilder:reloadConfigOnChange=false", .. args]).Configuration;
        using var loggers = LoggerFactory.Create(logging => logging.AddConfiguration(configuration.GetSection("Logging")).AddServiceConsole());
        var learned = await LearnAsync(configuration, TimeProvider.System, loggers.CreateLogger(typeof(NodeLocation).FullName!), cancellation);
        return builder => builder.Configuration.AddInMemoryCollection(learned);
    }

    internal static async Task<IReadOnlyDictionary<string, string?>> LearnAsync(
        IConfiguration configuration, TimeProvider time, ILogger logger, CancellationToken cancellation)
    {
        var learned = new Dictionary<string, string?>();
        var options = configuration.GetSection(KubernetesOptions.Section).Get<KubernetesOptions>() ?? new();
        var (needsRegion, needsZone) = (string.IsNullOrEmpty(configuration[RegionKey]), string.IsNullOrEmpty(configuration[ZoneKey]));
        if (!options.IsEnabled || !(needsRegion || needsZone))
        {
            return learned;
        }

        var nameText = configuration[$"{NodeOptions.Section}:{nameof(NodeOptions.Name)}"] ?? new NodeOptions().Name;
        string[] problems = [.. options.Problems(), .. NodeName.TryParse(nameText, out var name) ? [] : new NodeOptions { Name = nameText }.Problems().Take(1)];
        if (problems.Length > 0)
        {
            throw new OptionsValidationException(KubernetesOptions.Section, typeof(KubernetesOptions), problems);
        }

        using var api = new NodeApi(Options.Create(options), time);
        var node = await FindAsync(api, name, time, logger, cancellation);
        string[] missing =
        [
            .. needsRegion && node.Region is null ? [options.RegionLabel] : Array.Empty<string>(),
            .. needsZone && node.Zone is null ? [options.ZoneLabel] : Array.Empty<string>(),
        ];
        if (needsRegion)
        {
            learned[RegionKey] = node.Location.Region;
        }

        if (needsZone)
        {
            learned[ZoneKey] = node.Location.Zone;
        }

        var location = $"{learned.GetValueOrDefault(RegionKey) ?? configuration[RegionKey]}/{learned.GetValueOrDefault(ZoneKey) ?? configuration[ZoneKey]}";
        if (missing.Length > 0)
        {
            Log.LabelsMissing(logger, name, string.Join(" and ", missing), location);
        }
        else
        {
            Log.Learned(logger, name, location);
        }

        return learned;
    }

    private static async Task<ClusterNode> FindAsync(NodeApi api, NodeName name, TimeProvider time, ILogger logger, CancellationToken cancellation)
    {
        var retry = new ApiServerRetry($"Reading the labels of node {name}, which the start waits for,", time, logger);
        while (true)
        {
            try
            {
                var node = await api.GetAsync(name, cancellation);
                retry.Succeeded();
                return node;
            }
            catch (NodeApiException e)
            {
                await retry.WaitAsync(e, cancellation);
            }
        }
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Information, "Node {Node} is in {Location}, by its labels")]
        public static partial void Learned(ILogger logger, NodeName node, string location);

        [LoggerMessage(
            LogLevel.Warning,
            "Node {Node} has no label {Labels}, so it counts as in {Location}: label it and restart this pod, or name the labels it has in Kubernetes:RegionLabel and Kubernetes:ZoneLabel")]
        public static partial void LabelsMissing(ILogger logger, NodeName node, string labels, string location);
    }
}
