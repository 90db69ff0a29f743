using System.Net.Http.Json;
using System.Text.Json;
using SpegelDapr.LocalDapr.Tests.Support;

namespace SpegelDapr.LocalDapr.Tests.Conformance;

public sealed class MetadataTests
{
    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task Metadata_tell_components_capabilities_and_subscriptions(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("app", [Runtime.To("orders")]);

        var metadata = await app.Dapr.GetMetadataAsync();
        Assert.Equal("app", metadata.Id);
        var store = metadata.Components.Single(component => component.Name == "store");
        Assert.Equal("v1", store.Version);
        Assert.Superset(new HashSet<string> { "ETAG", "TRANSACTIONAL", "TTL" }, store.Capabilities.ToHashSet());

        var json = await app.Http.GetFromJsonAsync<JsonElement>("/v1.0/metadata");
        Assert.Equal("orders", json.GetProperty("subscriptions")[0].GetProperty("topic").GetString());
        Assert.Equal("/events/in", json.GetProperty("subscriptions")[0].GetProperty("rules")[0].GetProperty("path").GetString());
        Assert.Equal(app.Port, json.GetProperty("appConnectionProperties").GetProperty("port").GetInt32());
    }

    [Fact]
    public async Task The_client_of_the_SDK_sees_a_healthy_sidecar()
    {
        await using var runtime = await Runtime.StartAsync(Backend.InMemory);
        var app = await runtime.StartAppAsync("app");

        Assert.True(await app.Dapr.CheckHealthAsync());
        Assert.True(await app.Dapr.CheckOutboundHealthAsync());
    }
}
