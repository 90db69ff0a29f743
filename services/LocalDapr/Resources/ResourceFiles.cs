using System.Globalization;
using SpegelDapr.LocalDapr.PubSub;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace SpegelDapr.LocalDapr.Resources;

/// <summary>
/// Reads Dapr resources from YAML: <c>Component</c>, <c>Subscription</c> with one route, and of <c>Resiliency</c> the retries of inbound pub/sub. What
/// is not supported is reported once and skipped.
/// </summary>
internal sealed partial class ResourceFiles(ILogger<ResourceFiles> logger)
{
    private readonly HashSet<string> _reported = [];

    /// <summary>Whether the <c>Configuration</c> in a file leaves <c>HotReload</c> on, which it is by default (dapr/pkg/config/configuration.go).</summary>
    /// <exception cref="LocalDaprException">The file does not exist or is no YAML.</exception>
    public static bool IsHotReloadOn(string? configPath) =>
        configPath is null
        || !(File.Exists(configPath) ? Documents(configPath) : throw new LocalDaprException($"There is no configuration file '{configPath}'."))
            .Where(resource => resource.Text("kind") == "Configuration")
            .SelectMany(resource => resource.Items("spec", "features"))
            .Any(feature => feature.Text("name") == HotReload.Feature && feature.Text("enabled") != "true");

    /// <summary>The resources in the paths, in the order of files' names, that are meant for the app.</summary>
    /// <exception cref="LocalDaprException">A path does not exist, a file is not YAML, or a resource is not complete.</exception>
    public ResourceSet Read(IEnumerable<string> paths, string appId)
    {
        var components = new List<Component>();
        var subscriptions = new List<DeclaredSubscription>();
        var retries = new Dictionary<string, RetryPolicy>();
        foreach (var file in paths.SelectMany(FilesOf))
        {
            foreach (var resource in Documents(file))
            {
                var scopes = resource.List("scopes");
                if (scopes.Count > 0 && !scopes.Contains(appId))
                {
                    continue;
                }

                switch (resource.Text("kind"))
                {
                    case "Component":
                        components.Add(ToComponent(resource, scopes));
                        break;
                    case "Subscription":
                        subscriptions.AddRange(ToSubscription(resource, scopes));
                        break;
                    case "Resiliency":
                        AddRetries(resource, retries);
                        break;
                    case var kind:
                        Report($"resources of kind '{kind}' are", file);
                        break;
                }
            }
        }

        return new ResourceSet(components, subscriptions, retries);
    }

    private static IEnumerable<string> FilesOf(string path)
    {
        if (File.Exists(path))
        {
            return [path];
        }

        return Directory.Exists(path)
            ? Directory.EnumerateFiles(path).Where(file => Path.GetExtension(file) is ".yaml" or ".yml").Order(StringComparer.Ordinal)
            : throw new LocalDaprException($"The resources path '{path}' does not exist: give a directory of Dapr component files.");
    }

    private static IEnumerable<YamlResource> Documents(string file)
    {
        var yaml = new YamlStream();
        try
        {
            using var reader = new StreamReader(file);
            yaml.Load(reader);
        }
        catch (YamlException e)
        {
            throw new LocalDaprException($"{file}:{e.Start.Line}: not well-formed YAML: {e.InnerException?.Message ?? e.Message}", e);
        }

        return yaml.Documents.Select(document => document.RootNode).OfType<YamlMappingNode>().Select(root => new YamlResource(file, root));
    }

    private static Component ToComponent(YamlResource resource, IReadOnlyList<string> scopes)
    {
        var metadata = new Dictionary<string, string>();
        foreach (var item in resource.Items("spec", "metadata"))
        {
            var name = item.Required("name");
            if (item.Has("secretKeyRef"))
            {
                throw new LocalDaprException(
                    $"{resource.File}: '{name}' refers to a secret, and LocalDapr has no secret stores: give it a value, or its environment variable with envRef.");
            }

            metadata[name] = item.Has("envRef") ? Environment.GetEnvironmentVariable(item.Required("envRef")) ?? "" : item.Text("value");
        }

        return new Component(resource.Required("metadata", "name"), resource.Required("spec", "type"))
        {
            Version = resource.Text("spec", "version") is { Length: > 0 } version ? version : "v1",
            Metadata = metadata,
            Scopes = scopes,
            IgnoreErrors = string.Equals(resource.Text("spec", "ignoreErrors"), "true", StringComparison.OrdinalIgnoreCase),
        };
    }

    // v1alpha1 has one route, v2alpha1 a default beside rules (dapr/pkg/apis/subscriptions).
    private IEnumerable<DeclaredSubscription> ToSubscription(YamlResource resource, IReadOnlyList<string> scopes)
    {
        var name = resource.Required("metadata", "name");
        if (resource.Items("spec", "routes", "rules").Count > 0 || resource.Text("spec", "bulkSubscribe", "enabled") == "true")
        {
            Report($"the rules and bulk deliveries of subscription '{name}' are", resource.File);
            yield break;
        }

        yield return new DeclaredSubscription(name, scopes, new TopicRoute(
            resource.Required("spec", "pubsubname"),
            resource.Required("spec", "topic"),
            resource.Text("spec", "route") is { Length: > 0 } route ? route : resource.Required("spec", "routes", "default"),
            resource.Text("spec", "deadLetterTopic"),
            resource.Texts("spec", "metadata")));
    }

    private void AddRetries(YamlResource resource, Dictionary<string, RetryPolicy> retries)
    {
        foreach (var (component, target) in resource.Entries("spec", "targets", "components"))
        {
            if (target.Text("inbound", "retry") is not { Length: > 0 } name)
            {
                continue;
            }

            var policy = resource.Entries("spec", "policies", "retries").FirstOrDefault(entry => entry.Key == name).Value
                ?? throw new LocalDaprException($"{resource.File}: the retry policy '{name}' of {component} is not among spec.policies.retries.");
            var defaults = new RetryPolicy();
            retries[component] = new RetryPolicy
            {
                Exponential = policy.Text("policy") == "exponential",
                Duration = GoDuration.Parse(policy.Text("duration"), defaults.Duration, $"{resource.File}: duration of retry policy '{name}'"),
                MaxInterval = GoDuration.Parse(policy.Text("maxInterval"), defaults.MaxInterval, $"{resource.File}: maxInterval of retry policy '{name}'"),
                MaxRetries = int.TryParse(policy.Text("maxRetries"), CultureInfo.InvariantCulture, out var count) ? count : defaults.MaxRetries,
            };
        }

        var ignored = resource.Entries("spec", "targets", "apps").Concat(resource.Entries("spec", "targets", "components"))
            .SelectMany(target => Ignored(target.Key, target.Value))
            .Concat(resource.Texts("spec", "policies", "timeouts").Keys.Where(name => name.StartsWith("Default", StringComparison.Ordinal)))
            .ToList();
        if (ignored.Count > 0)
        {
            Report($"of a Resiliency only the inbound retries of components are applied: {string.Join(", ", ignored)} are", resource.File);
        }
    }

    /// <summary>The policies of a target that Dapr would apply and LocalDapr does not.</summary>
    private static IEnumerable<string> Ignored(string target, YamlResource policies) =>
        from path in (string[][])[[], ["inbound"], ["outbound"]]
        from kind in (string[])["timeout", "circuitBreaker", "retry"]
        where !(path is ["inbound"] && kind == "retry") && policies.Text([.. path, kind]).Length > 0
        select string.Join(' ', [target, .. path, kind]);

    private void Report(string what, string file)
    {
        if (_reported.Add($"{file}: {what}"))
        {
            Log.Skipped(logger, file, what);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "{File}: {What} not supported by LocalDapr; skipped.")]
        public static partial void Skipped(ILogger logger, string file, string what);
    }
}
