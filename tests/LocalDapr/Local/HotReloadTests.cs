using System.Net.Http.Json;
using System.Text.Json;
using SpegelDapr.LocalDapr.Tests.Support;

namespace SpegelDapr.LocalDapr.Tests.Local;

/// <summary>Resources that cannot be taken into a running sidecar, and those of older forms.</summary>
public sealed class HotReloadTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("localdapr-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task A_component_that_cannot_be_made_ends_the_sidecar_as_it_ends_daprd()
    {
        await using var host = new LocalDaprHost();
        await using var sidecar = await host.StartAsync(new AppSpec("app") { ResourcesPaths = [_directory] });

        Write("store", "state.redis", "redisHost: '127.0.0.1:1'");

        var error = await Assert.ThrowsAsync<LocalDaprException>(() => sidecar.ShutdownRequested.WaitAsync(Eventually.Deadline));
        Assert.Contains("no Redis answers at 127.0.0.1:1", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_component_that_does_not_allow_what_is_told_ends_the_sidecar_when_it_is_made_anew()
    {
        Write("events", "pubsub.in-memory", "subscriptionScopes: app=a");
        await using var host = new LocalDaprHost();
        await using var app = new TestApp("app", [Runtime.To("a"), Runtime.To("b")]);
        await app.StartAsync();
        await using var sidecar = await host.StartAsync(new AppSpec("app") { AppPort = app.Port, ResourcesPaths = [_directory] });
        await sidecar.Subscribed.WaitAsync(Eventually.Deadline);

        Write("events", "pubsub.in-memory", "subscriptionScopes: 'app=a,c'");

        var error = await Assert.ThrowsAsync<LocalDaprException>(() => sidecar.ShutdownRequested.WaitAsync(Eventually.Deadline));
        Assert.Contains("topic b of events, which the component's scopes do not allow", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_subscription_that_cannot_be_made_ends_the_sidecar_as_it_ends_daprd()
    {
        await using var redis = new RedisServer();
        await redis.StartAsync();
        Write("events", "pubsub.redis", $"redisHost: '127.0.0.1:{redis.Port}'", ignoreErrors: true);
        await using var host = new LocalDaprHost();
        await using var app = new TestApp("app", []);
        await app.StartAsync();
        await using var sidecar = await host.StartAsync(new AppSpec("app") { AppPort = app.Port, ResourcesPaths = [_directory] });
        await sidecar.Subscribed.WaitAsync(Eventually.Deadline);

        await redis.StopAsync();
        Declare("later", "later");

        var error = await Assert.ThrowsAsync<LocalDaprException>(() => sidecar.ShutdownRequested.WaitAsync(Eventually.Deadline));
        Assert.Contains("topic later of events", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_that_is_not_well_formed_leaves_all_as_it_is_until_it_is_mended()
    {
        await using var host = new LocalDaprHost();
        await using var sidecar = await host.StartAsync(new AppSpec("app") { ResourcesPaths = [_directory] });
        using var http = new HttpClient { BaseAddress = new Uri(sidecar.HttpEndpoint) };

        File.WriteAllText(Path.Combine(_directory, "broken.yaml"), "kind: [");
        Write("one", "state.in-memory");
        File.WriteAllText(Path.Combine(_directory, "broken.yaml"), "");

        await Eventually.TrueAsync(async () => await ComponentsAsync(http) is ["one"]);
        Assert.False(sidecar.ShutdownRequested.IsCompleted);
    }

    [Fact]
    public async Task A_component_that_ignores_errors_comes_when_its_backend_does()
    {
        await using var redis = new RedisServer();
        await using var host = new LocalDaprHost();
        Write("events", "pubsub.redis", $"redisHost: '127.0.0.1:{redis.Port}'", ignoreErrors: true);
        await using var sidecar = await host.StartAsync(
            new AppSpec("app") { ResourcesPaths = [_directory], ReconcileInterval = TimeSpan.FromMilliseconds(200) });
        using var http = new HttpClient { BaseAddress = new Uri(sidecar.HttpEndpoint) };
        Assert.Empty(await ComponentsAsync(http));

        await redis.StartAsync();

        await Eventually.TrueAsync(async () => await ComponentsAsync(http) is ["events"]);
    }

    [Fact]
    public async Task A_subscription_of_the_older_form_is_one_too()
    {
        Write("events", "pubsub.in-memory");
        File.WriteAllText(Path.Combine(_directory, "old.yaml"), """
            apiVersion: dapr.io/v1alpha1
            kind: Subscription
            metadata: { name: old }
            spec: { pubsubname: events, topic: orders, route: /events/old }
            """);
        await using var host = new LocalDaprHost();
        await using var app = new TestApp("app", []);
        await app.StartAsync();
        await using var sidecar = await host.StartAsync(new AppSpec("app") { AppPort = app.Port, ResourcesPaths = [_directory] });
        app.Connect(sidecar.HttpEndpoint, sidecar.GrpcEndpoint, token: null);
        await sidecar.Subscribed.WaitAsync(Eventually.Deadline);

        await app.PublishAsync("events", "orders", 1);

        Assert.Equal("/events/old", (await app.NextAsync()).Path);
    }

    private void Declare(string name, string topic) => File.WriteAllText(Path.Combine(_directory, name + ".yaml"), $$"""
        apiVersion: dapr.io/v2alpha1
        kind: Subscription
        metadata: { name: {{name}} }
        spec: { pubsubname: events, topic: {{topic}}, routes: { default: /events/declared } }
        """);

    private void Write(string name, string type, string? setting = null, bool ignoreErrors = false) => File.WriteAllText(Path.Combine(_directory, name + ".yaml"), $"""
        apiVersion: dapr.io/v1alpha1
        kind: Component
        metadata:
          name: {name}
        spec:
          type: {type}
          version: v1
          ignoreErrors: {(ignoreErrors ? "true" : "false")}
          metadata: {(setting is null ? "[]" : $"[{{ name: {setting.Replace(": ", ", value: ", StringComparison.Ordinal)} }}]")}
        """);

    private static async Task<IReadOnlyList<string?>> ComponentsAsync(HttpClient http) =>
        [.. (await http.GetFromJsonAsync<JsonElement>("/v1.0/metadata")).GetProperty("components").EnumerateArray().Select(item => item.GetProperty("name").GetString())];
}
