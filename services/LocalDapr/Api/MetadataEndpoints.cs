using System.Collections.Concurrent;
using System.Reflection;
using System.Text;
using System.Text.Json.Nodes;
using SpegelDapr.LocalDapr.Components;
using SpegelDapr.LocalDapr.PubSub;

namespace SpegelDapr.LocalDapr.Api;

/// <summary><c>/v1.0/metadata</c>, and what gRPC's GetMetadata tells as well.</summary>
internal sealed class MetadataEndpoints(AppSpec app, ComponentSet components, SubscriptionSet subscriptions, IReadOnlyList<string> features)
{
    /// <summary>The version that the runtime gives as its own.</summary>
    public static readonly string RuntimeVersion =
        $"localdapr-{typeof(MetadataEndpoints).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0]}";

    private readonly ConcurrentDictionary<string, string> _extended = new(
        [KeyValuePair.Create("daprRuntimeVersion", RuntimeVersion)]);

    public AppSpec App => app;

    public IReadOnlyList<LoadedComponent> Components => components.All;

    public IReadOnlyList<NamedRoute> Subscriptions => subscriptions.Routes;

    public IReadOnlyList<string> Features => features;

    public IReadOnlyDictionary<string, string> Extended => _extended;

    public void Map(IEndpointRouteBuilder endpoints)
    {
        endpoints.MapGet("/v1.0/metadata", context => context.Response.WriteJsonAsync(ToJson()));
        endpoints.MapPut("/v1.0/metadata/{key}", SetAsync);
    }

    /// <summary>Sets an entry of the extended metadata.</summary>
    public void Set(string key, string value) => _extended[key] = value;

    private async Task SetAsync(HttpContext context)
    {
        Set((string)context.GetRouteValue("key")!, Encoding.UTF8.GetString((await context.Request.BodyAsync()).Span));
        await context.Response.WriteEmptyAsync();
    }

    private JsonObject ToJson()
    {
        var connection = new JsonObject { ["protocol"] = "http", ["channelAddress"] = app.AppChannelAddress };
        if (app.AppPort is { } port)
        {
            connection["port"] = port;
        }

        return new JsonObject
        {
            ["id"] = app.AppId,
            ["runtimeVersion"] = RuntimeVersion,
            ["enabledFeatures"] = new JsonArray([.. features.Select(feature => (JsonNode)feature)]),
            ["components"] = new JsonArray([.. Components.Select(ToJson)]),
            ["extended"] = ToJson(_extended),
            ["subscriptions"] = new JsonArray([.. Subscriptions.Select(ToJson)]),
            ["appConnectionProperties"] = connection,
        };
    }

    private static JsonObject ToJson(LoadedComponent loaded) => new()
    {
        ["name"] = loaded.Component.Name,
        ["type"] = loaded.Component.Type,
        ["version"] = loaded.Component.Version,
        ["capabilities"] = new JsonArray([.. loaded.Capabilities.Select(capability => (JsonNode)capability)]),
    };

    private static JsonObject ToJson(NamedRoute named) => new()
    {
        ["pubsubname"] = named.Route.PubSubName,
        ["topic"] = named.Route.Topic,
        ["metadata"] = ToJson(named.Route.Metadata),
        ["rules"] = new JsonArray(new JsonObject { ["path"] = named.Route.Path }),
        ["deadLetterTopic"] = named.Route.DeadLetterTopic,
        ["type"] = named.Name is null ? "PROGRAMMATIC" : "DECLARATIVE",
    };

    private static JsonObject ToJson(IEnumerable<KeyValuePair<string, string>> pairs) =>
        new(pairs.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value)));
}
