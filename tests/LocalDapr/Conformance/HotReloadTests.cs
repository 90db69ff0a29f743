using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using SpegelDapr.LocalDapr.Tests.Support;

namespace SpegelDapr.LocalDapr.Tests.Conformance;

/// <summary>Declarative subscriptions, and what a running sidecar takes in of changed resources: Dapr 1.18, where hot reload is on by default.</summary>
public sealed class HotReloadTests
{
    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task A_declared_subscription_is_one_of_the_app_as_if_it_had_told_it(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.Declare("declared", "declared");
        runtime.Declare("others", "others", scopes: "scopes: [somebody]");
        var app = await runtime.StartAppAsync("reader", [Runtime.To("told")]);

        await app.PublishAsync("events", "declared", 1);
        Assert.Equal("/events/declared", (await app.NextAsync()).Path);
        await app.PublishAsync("events", "others", 2);
        await app.PublishAsync("events", "told", 3);
        Assert.Equal("/events/in", (await app.NextAsync()).Path);
        Assert.Equal(["DECLARATIVE declared", "PROGRAMMATIC told"], await SubscriptionsAsync(app));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task Of_two_subscriptions_to_one_topic_there_is_the_one_that_the_app_tells(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.Declare("declared", "orders");
        var app = await runtime.StartAppAsync("reader", [Runtime.To("orders")]);

        await app.PublishAsync("events", "orders", 1);
        await app.PublishAsync("events", "orders", 2);

        Assert.Equal("/events/in", (await app.NextAsync()).Path);
        Assert.Equal("/events/in", (await app.NextAsync()).Path);
        Assert.True(app.HasNoMore);
        Assert.Equal(["PROGRAMMATIC orders"], await SubscriptionsAsync(app));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task A_running_sidecar_takes_in_a_subscription_that_is_declared_changed_and_withdrawn(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("reader", [Runtime.To("told")]);

        runtime.Declare("later", "later", "/events/first");
        await UntilSubscribedAsync(app, "DECLARATIVE later", "PROGRAMMATIC told");
        Assert.Equal("/events/first", await PathOfAsync(app, "later"));

        runtime.Declare("later", "later", "/events/second");
        await Eventually.TrueAsync(async () => await PathOfAsync(app, "later") == "/events/second");

        runtime.Remove("later");
        await UntilSubscribedAsync(app, "PROGRAMMATIC told");
        await app.PublishAsync("events", "later", "lost");
        Assert.Equal("/events/in", await PathOfAsync(app, "told"));
        Assert.Equal(1, app.Asked);
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task A_running_sidecar_takes_in_changed_scopes_of_topics_with_the_subscriptions_that_waited_for_them(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.AddPubSub("scoped", Scopes("a"));
        var app = await runtime.StartAppAsync("reader", [Runtime.To("a", pubSub: "scoped")]);
        runtime.Declare("b", "b", pubSub: "scoped");
        await UntilSubscribedAsync(app, "DECLARATIVE b", "PROGRAMMATIC a");
        Assert.Equal(HttpStatusCode.Forbidden, (await app.PublishAsync("scoped", "b", 1)).StatusCode);

        runtime.AddPubSub("scoped", Scopes("a,b"));

        Assert.Equal("/events/declared", await PathOfAsync(app, "b", "scoped"));
        Assert.Equal("/events/in", await PathOfAsync(app, "a", "scoped"));
        Assert.Equal(1, app.Asked);

        static string Scopes(string topics) => $"- {{ name: subscriptionScopes, value: 'reader={topics}' }}\n  - {{ name: publishingScopes, value: 'reader={topics}' }}";
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task A_topic_that_is_told_and_not_allowed_does_no_harm_until_the_component_is_made_anew_and_then_fails_it(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.AddPubSub("scoped", Scopes("a"));
        var app = await runtime.StartAppAsync("reader", [Runtime.To("a", pubSub: "scoped"), Runtime.To("b", pubSub: "scoped")]);
        Assert.Equal("/events/in", await PathOfAsync(app, "a", "scoped"));

        runtime.AddPubSub("scoped", Scopes("a,c"));
        await Eventually.TrueAsync(async () => (await app.PublishAsync("scoped", "a", 1)).StatusCode == HttpStatusCode.NotFound);

        // And not only for the moment in which another one takes its place.
        await Task.Delay(TimeSpan.FromSeconds(1));
        Assert.Equal(HttpStatusCode.NotFound, (await app.PublishAsync("scoped", "a", 1)).StatusCode);

        runtime.AddPubSub("scoped", Scopes("a,b"));
        Assert.Equal("/events/in", await PathOfAsync(app, "b", "scoped"));
        Assert.Equal("/events/in", await PathOfAsync(app, "a", "scoped"));
        Assert.Equal(1, app.Asked);

        static string Scopes(string topics) => $"- {{ name: subscriptionScopes, value: 'reader={topics}' }}\n  ignoreErrors: true";
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task A_running_sidecar_takes_in_a_component_whose_scopes_come_to_name_its_app_and_lets_it_go_again(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.AddPubSub("scoped", scopes: "scopes: [somebody]");
        runtime.Declare("scoped-orders", "orders", pubSub: "scoped");
        var app = await runtime.StartAppAsync("reader");
        Assert.Equal(HttpStatusCode.NotFound, (await app.PublishAsync("scoped", "orders", 1)).StatusCode);

        runtime.AddPubSub("scoped", scopes: "scopes: [somebody, reader]");
        Assert.Equal("/events/declared", await PathOfAsync(app, "orders", "scoped"));

        runtime.AddPubSub("scoped", scopes: "scopes: [somebody]");
        await Eventually.TrueAsync(async () => (await app.PublishAsync("scoped", "orders", 3)).StatusCode == HttpStatusCode.NotFound);
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task For_another_resiliency_the_app_is_asked_for_its_subscriptions_again(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("reader", [Runtime.To("first")]);
        app.Subscriptions = [Runtime.To("second")];

        runtime.Add("more-retries", """
            apiVersion: dapr.io/v1alpha1
            kind: Resiliency
            metadata: { name: more-retries }
            spec:
              policies: { retries: { often: { policy: constant, duration: 50ms, maxRetries: 5 } } }
              targets: { components: { other: { inbound: { retry: often } } } }
            """);

        await UntilSubscribedAsync(app, "PROGRAMMATIC second");
        Assert.Equal("/events/in", await PathOfAsync(app, "second"));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task Whether_resources_are_reloaded_is_told_and_can_be_switched_off(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var reloading = await runtime.StartAppAsync("reloading");
        var other = await runtime.StartAppAsync("other", hotReload: false);
        Assert.Contains("HotReload", await FeaturesAsync(reloading));
        Assert.DoesNotContain("HotReload", await FeaturesAsync(other));

        runtime.Declare("later", "later");

        await UntilSubscribedAsync(reloading, "DECLARATIVE later");
        Assert.Empty(await SubscriptionsAsync(other));
    }

    /// <summary>Where events of a topic are delivered. A subscription is among the metadata before the broker knows of it, so one may be lost.</summary>
    private static async Task<string> PathOfAsync(TestApp app, string topic, string pubSub = "events")
    {
        var path = "";
        var data = Guid.NewGuid().ToString();
        await Eventually.TrueAsync(async () =>
        {
            await app.PublishAsync(pubSub, topic, data);
            while (await app.TryNextAsync(TimeSpan.FromSeconds(1)) is { } received)
            {
                if (received.Text("data") == data)
                {
                    path = received.Path;
                    return true;
                }
            }

            return false;
        });
        return path;
    }

    private static Task UntilSubscribedAsync(TestApp app, params string[] expected) => Eventually.TrueAsync(async () =>
    {
        try
        {
            return (await SubscriptionsAsync(app)).SequenceEqual(expected);
        }
        catch (HttpRequestException)
        {
            // daprd's API is away for a moment while its runtime starts again.
            return false;
        }
    });

    private static async Task<IReadOnlyList<string>> SubscriptionsAsync(TestApp app)
    {
        var metadata = await app.Http.GetFromJsonAsync<JsonElement>("/v1.0/metadata");
        return metadata.TryGetProperty("subscriptions", out var subscriptions) && subscriptions.ValueKind == JsonValueKind.Array
            ? [.. subscriptions.EnumerateArray().Select(item => $"{item.GetProperty("type").GetString()} {item.GetProperty("topic").GetString()}").Order(StringComparer.Ordinal)]
            : [];
    }

    private static async Task<IReadOnlyList<string>> FeaturesAsync(TestApp app)
    {
        var metadata = await app.Http.GetFromJsonAsync<JsonElement>("/v1.0/metadata");
        return metadata.TryGetProperty("enabledFeatures", out var features) ? [.. features.EnumerateArray().Select(feature => feature.GetString()!)] : [];
    }
}
