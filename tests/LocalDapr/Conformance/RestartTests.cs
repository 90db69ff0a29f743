using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using SpegelDapr.LocalDapr.Tests.Support;

namespace SpegelDapr.LocalDapr.Tests.Conformance;

/// <summary>How an app gets other subscriptions: its sidecar asks for them when it starts, and only then.</summary>
public sealed class RestartTests
{
    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task A_sidecar_asks_for_the_subscriptions_once_and_again_when_it_has_been_restarted(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("reader", [Runtime.To("first", "/events/first")]);

        app.Subscriptions = [Runtime.To("second", "/events/second"), Runtime.To("third", "/events/third")];
        await app.PublishAsync("events", "first", 1);
        Assert.Equal("/events/first", (await app.NextAsync()).Path);
        Assert.Equal(["first"], await TopicsAsync(app));

        Assert.Equal(HttpStatusCode.NoContent, (await app.Http.PostAsync("/v1.0/shutdown", content: null)).StatusCode);
        await runtime.RestartSidecarAsync(app);

        Assert.Equal(["second", "third"], await TopicsAsync(app));
        await app.PublishAsync("events", "first", 2);
        await app.PublishAsync("events", "second", 3);
        Assert.Equal("/events/second", (await app.NextAsync()).Path);
        await app.PublishAsync("events", "third", 4);
        Assert.Equal("/events/third", (await app.NextAsync()).Path);
        Assert.True(app.HasNoMore);
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task A_sidecar_is_restarted_over_gRPC_as_well(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("reader", [Runtime.To("first")]);
        app.Subscriptions = [Runtime.To("second")];

        await app.Dapr.ShutdownSidecarAsync();
        await runtime.RestartSidecarAsync(app);

        Assert.Equal(["second"], await TopicsAsync(app));
    }

    [Theory]
    [OnRedis]
    [OnRabbitMq]
    public async Task What_is_published_while_the_sidecar_is_away_is_delivered_once_it_is_back(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var reader = await runtime.StartAppAsync("reader", [Runtime.To("orders")]);
        var writer = await runtime.StartAppAsync("writer");
        await writer.PublishAsync("events", "orders", 1);
        await reader.NextAsync();

        await reader.Http.PostAsync("/v1.0/shutdown", content: null);
        await runtime.RestartSidecarAsync(reader, whileAway: () => writer.PublishAsync("events", "orders", 2));

        Assert.Equal("2", (await reader.NextAsync()).Text("data"));
    }

    [Theory]
    [OnRedis]
    [OnRabbitMq]
    public async Task An_event_that_is_tried_again_when_the_sidecar_restarts_is_delivered_in_the_end(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.AddPubSub("patient", "- { name: processingTimeout, value: 1s }\n  - { name: redeliverInterval, value: 1s }");
        runtime.Add("patience", """
            apiVersion: dapr.io/v1alpha1
            kind: Resiliency
            metadata: { name: patience }
            spec:
              policies: { retries: { always: { policy: constant, duration: 500ms, maxRetries: -1 } } }
              targets: { components: { patient: { inbound: { retry: always } } } }
            """);
        var app = await runtime.StartAppAsync("reader", [Runtime.To("orders", pubSub: "patient")]);
        const int Refusals = 3;
        for (var i = 0; i < Refusals; i++)
        {
            app.Answers.Enqueue(Results.Json(new { status = "RETRY" }));
        }

        await app.PublishAsync("patient", "orders", 1);
        var id = (await app.NextAsync()).Text("id");
        await app.Http.PostAsync("/v1.0/shutdown", content: null);
        await runtime.RestartSidecarAsync(app);

        for (var i = 0; i < Refusals; i++)
        {
            Assert.Equal(id, (await app.NextAsync()).Text("id"));
        }
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task The_metadata_tell_what_the_app_has_asked_for_even_where_its_scopes_forbid_it(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.AddPubSub("scoped", "- { name: subscriptionScopes, value: 'reader=a' }");
        var app = await runtime.StartAppAsync("reader", [Runtime.To("a", pubSub: "scoped"), Runtime.To("b", pubSub: "scoped")]);

        Assert.Equal(["a", "b"], await TopicsAsync(app));
    }

    private static async Task<IEnumerable<string?>> TopicsAsync(TestApp app)
    {
        var metadata = await app.Http.GetFromJsonAsync<JsonElement>("/v1.0/metadata");
        return metadata.GetProperty("subscriptions").EnumerateArray().Select(subscription => subscription.GetProperty("topic").GetString()).Order();
    }
}
