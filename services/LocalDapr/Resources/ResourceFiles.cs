using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace SpegelDapr.LocalDapr.Resources;

/// <summary>
/// Reads Dapr resources from YAML: <c>Component</c>, and of <c>Resiliency</c> the retries of inbound pub/sub. Other kinds are reported and
/// skipped.
/// </summary>
internal sealed partial class ResourceFiles(ILogger<ResourceFiles> logger)
{
    /// <summary>The resources in the paths, in the order of files' names, that are meant for the app.</summary>
    /// <exception cref="LocalDaprException">A path does not exist, a file is not YAML, or a resource is not complete.</exception>
    public ResourceSet Read(IEnumerable<string> paths, string appId)
    {
        var components = new List<Component>();
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
                    case "Resiliency":
                        AddRetries(resource, retries);
                        break;
                    case var kind:
                        Log.KindSkipped(logger, file, kind);
                        break;
                }
            }
        }

        return new ResourceSet(components, retries);
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

    private static void AddRetries(YamlResource resource, Dictionary<string, RetryPolicy> retries)
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
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "{File}: resources of kind '{Kind}' are not supported by LocalDapr; skipped.")]
        public static partial void KindSkipped(ILogger logger, string file, string kind);
    }
}
