using System.Diagnostics;
using System.Net;
using SpegelDapr.LocalDapr.Tests.Support;

namespace SpegelDapr.LocalDapr.Tests.Local;

/// <summary>Brokers, stores and apps that go away and come back.</summary>
public sealed class OutageTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("localdapr-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [OnRedis]
    public async Task While_Redis_is_gone_requests_fail_promptly_and_afterwards_all_goes_on(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("app", [Runtime.To("orders")]);
        await app.SaveAsync("store", new { key = "a", value = 1 });

        await runtime.Redis.StopAsync();
        var watch = Stopwatch.StartNew();
        Assert.Equal(HttpStatusCode.InternalServerError, (await app.Http.GetAsync("/v1.0/state/store/a")).StatusCode);
        Assert.Equal(HttpStatusCode.InternalServerError, (await app.PublishAsync("events", "orders", 1)).StatusCode);
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(5), $"Two requests took {watch.Elapsed}.");

        await runtime.Redis.StartAsync();
        await Eventually.TrueAsync(async () => (await app.PublishAsync("events", "orders", 2)).IsSuccessStatusCode);
        Assert.Equal("2", (await app.NextAsync()).Text("data"));
        Assert.Equal(HttpStatusCode.NoContent, (await app.SaveAsync("store", new { key = "a", value = 2 })).StatusCode);
    }

    [RabbitMqFact]
    public async Task A_RabbitMQ_without_whom_requests_fail_promptly_finds_its_subscribers_again()
    {
        await using var server = new RabbitMqServer(_directory);
        await server.StartAsync();
        await using var host = new LocalDaprHost();
        await using var app = new TestApp("app", [Runtime.To("orders")]);
        await app.StartAsync();
        var metadata = new Dictionary<string, string>
        {
            ["hostname"] = $"127.0.0.1:{server.Port}",
            ["deletedWhenUnused"] = "false",
            ["deliveryMode"] = "2",
            ["publisherConfirm"] = "true",
            ["reconnectWaitSeconds"] = "250ms",
        };
        await using var sidecar = await host.StartAsync(new AppSpec("app")
        {
            AppPort = app.Port,
            Components = [new Component("events", "pubsub.rabbitmq") { Metadata = metadata }],
        });
        app.Connect(sidecar.HttpEndpoint, sidecar.GrpcEndpoint, token: null);
        await sidecar.Subscribed.WaitAsync(Eventually.Deadline);
        await app.PublishAsync("events", "orders", 1);
        await app.NextAsync();

        await server.StopAsync();
        Assert.Equal(HttpStatusCode.InternalServerError, (await app.PublishAsync("events", "orders", 2)).StatusCode);

        await server.StartAsync();
        await Eventually.TrueAsync(async () => (await app.PublishAsync("events", "orders", 3)).IsSuccessStatusCode);
        var received = (await app.NextAsync()).Text("data");

        // A broker that is killed may have lost the last acknowledgement.
        Assert.Equal("3", received == "1" ? (await app.NextAsync()).Text("data") : received);
    }

    [Fact]
    public async Task An_app_that_comes_up_after_its_sidecar_is_subscribed()
    {
        await using var host = new LocalDaprHost();
        await using var app = new TestApp("late", [Runtime.To("orders")]);
        await using var sidecar = await host.StartAsync(new AppSpec("late") { AppPort = app.Port, Components = [new Component("events", "pubsub.in-memory")] });
        app.Connect(sidecar.HttpEndpoint, sidecar.GrpcEndpoint, token: null);
        Assert.Equal(HttpStatusCode.InternalServerError, (await app.Http.GetAsync("/v1.0/healthz")).StatusCode);

        await app.StartAsync();
        await sidecar.Subscribed.WaitAsync(Eventually.Deadline);
        await app.PublishAsync("events", "orders", 1);

        await app.NextAsync();
    }

    [Fact]
    public async Task A_subscription_that_fails_at_the_start_is_tried_until_its_broker_is_back()
    {
        await using var redis = new RedisServer();
        await redis.StartAsync();
        await using var host = new LocalDaprHost();
        await using var app = new TestApp("app", [Runtime.To("orders")]);
        var metadata = new Dictionary<string, string> { ["redisHost"] = $"127.0.0.1:{redis.Port}" };
        await using var sidecar = await host.StartAsync(
            new AppSpec("app") { AppPort = app.Port, Components = [new Component("events", "pubsub.redis") { Metadata = metadata }] });
        app.Connect(sidecar.HttpEndpoint, sidecar.GrpcEndpoint, token: null);
        await redis.StopAsync();
        await app.StartAsync();
        await sidecar.Subscribed.WaitAsync(Eventually.Deadline);

        await redis.StartAsync();
        await Eventually.TrueAsync(async () => (await app.PublishAsync("events", "orders", 1)).IsSuccessStatusCode);

        Assert.Equal("1", (await app.NextAsync()).Text("data"));
    }

    [Fact]
    public async Task A_sidecar_can_be_stopped_and_another_takes_its_ports()
    {
        await using var host = new LocalDaprHost();
        Component[] components = [new Component("store", "state.in-memory")];
        var first = await host.StartAsync(new AppSpec("app") { Components = components });
        using var http = new HttpClient();
        using var value = new StringContent("""[{"key":"a","value":1}]""");
        await http.PostAsync($"{first.HttpEndpoint}/v1.0/state/store", value);
        await first.DisposeAsync();
        await Assert.ThrowsAsync<HttpRequestException>(() => http.GetAsync($"{first.HttpEndpoint}/v1.0/healthz"));

        await using var second = await host.StartAsync(
            new AppSpec("app") { HttpPort = first.HttpPort, GrpcPort = first.GrpcPort, Components = components });

        Assert.Equal("1", await http.GetStringAsync($"{second.HttpEndpoint}/v1.0/state/store/a"));
    }
}
