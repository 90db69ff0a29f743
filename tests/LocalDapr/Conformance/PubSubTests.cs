using System.Net;
using System.Text;
using Grpc.Core;
using Microsoft.AspNetCore.Http;
using SpegelDapr.LocalDapr.Tests.Support;

namespace SpegelDapr.LocalDapr.Tests.Conformance;

public sealed class PubSubTests
{
    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task An_event_published_over_HTTP_arrives_in_a_cloud_event(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("reader", [Runtime.To("orders")]);

        var answer = await app.PublishAsync("events", "orders", new { number = 7 }, "?metadata.cloudevent.type=order.v1&metadata.cloudevent.id=42");

        Assert.Equal(HttpStatusCode.NoContent, answer.StatusCode);
        var received = await app.NextAsync();
        Assert.Equal("/events/in", received.Path);
        Assert.Equal("application/cloudevents+json", received.Headers.ContentType);
        Assert.Equal("order.v1", received.Text("type"));
        Assert.Equal("42", received.Text("id"));
        Assert.Equal("1.0", received.Text("specversion"));
        Assert.Equal("reader", received.Text("source"));
        Assert.Equal("orders", received.Text("topic"));
        Assert.Equal("events", received.Text("pubsubname"));
        Assert.StartsWith("application/json", received.Text("datacontenttype"), StringComparison.Ordinal);
        Assert.Equal(7, received.Event.GetProperty("data").GetProperty("number").GetInt32());
        Assert.Equal(received.Text("traceid"), received.Text("traceparent"));
        Assert.True(DateTimeOffset.TryParse(received.Text("time"), out _));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task An_event_published_over_gRPC_keeps_its_type_and_its_bytes(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("reader", [Runtime.To("orders")]);

        await app.Dapr.PublishByteEventAsync(
            "events", "orders", """{"number":9007199254740993}"""u8.ToArray(), "application/json", new() { ["cloudevent.type"] = "order.v1" });
        await app.Dapr.PublishByteEventAsync("events", "orders", new byte[] { 1, 2, 255 }, "application/octet-stream");

        List<Received> received = [await app.NextAsync(), await app.NextAsync()];
        var json = received.Single(delivery => delivery.Text("type") == "order.v1");
        Assert.Equal("""{"number":9007199254740993}""", json.Event.GetProperty("data").GetRawText());
        var binary = received.Single(delivery => delivery != json);
        Assert.Equal([1, 2, 255], binary.Event.GetProperty("data_base64").GetBytesFromBase64());
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task Data_that_is_a_cloud_event_already_keeps_its_attributes(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("reader", [Runtime.To("orders")]);

        using var content = new StringContent("""{"specversion":"1.0","id":"own","type":"mine","source":"elsewhere","data":1}""");
        content.Headers.ContentType = new("application/cloudevents+json");
        Assert.Equal(HttpStatusCode.NoContent, (await app.Http.PostAsync("/v1.0/publish/events/orders", content)).StatusCode);

        var received = await app.NextAsync();
        Assert.Equal(("own", "mine", "elsewhere"), (received.Text("id"), received.Text("type"), received.Text("source")));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task A_raw_payload_is_delivered_as_base64(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("reader", [Runtime.To("orders", raw: true)]);

        using var content = new ByteArrayContent(Encoding.UTF8.GetBytes("plain"));
        await app.Http.PostAsync("/v1.0/publish/events/orders?metadata.rawPayload=true", content);

        Assert.Equal("plain", Encoding.UTF8.GetString((await app.NextAsync()).Event.GetProperty("data_base64").GetBytesFromBase64()));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task What_is_answered_with_RETRY_or_an_error_is_delivered_again(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("reader", [Runtime.To("orders")]);
        app.Answers.Enqueue(Results.Json(new { status = "RETRY" }));
        app.Answers.Enqueue(Results.StatusCode(503));

        await app.PublishAsync("events", "orders", 1);

        var ids = new HashSet<string> { (await app.NextAsync()).Text("id"), (await app.NextAsync()).Text("id"), (await app.NextAsync()).Text("id") };
        Assert.Single(ids);
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task What_is_answered_with_DROP_or_404_is_not_delivered_again(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("reader", [Runtime.To("orders"), Runtime.To("after", "/events/after")]);
        app.Answers.Enqueue(Results.Json(new { status = "DROP" }));
        app.Answers.Enqueue(Results.NotFound());

        await app.PublishAsync("events", "orders", 1);
        await app.NextAsync();
        await app.PublishAsync("events", "orders", 2);
        await app.NextAsync();
        // A retry would come after 100 ms, that is, before the third of these.
        for (var i = 0; i < 3; i++)
        {
            app.Answers.Enqueue(Results.Json(new { status = "RETRY" }));
        }

        await app.PublishAsync("events", "after", 3);
        for (var i = 0; i < 4; i++)
        {
            Assert.Equal("/events/after", (await app.NextAsync()).Path);
        }
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task What_fails_for_good_goes_to_the_dead_letter_topic(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync(
            "reader", [Runtime.To("orders", deadLetterTopic: "dead"), Runtime.To("dead", "/events/dead")]);
        app.Answers.Enqueue(Results.Json(new { status = "DROP" }));

        await app.PublishAsync("events", "orders", 1);

        var id = (await app.NextAsync()).Text("id");
        var dead = await app.NextAsync();
        Assert.Equal(("/events/dead", id), (dead.Path, dead.Text("id")));
    }

    [Theory]
    [OnMemory(shared: true)]
    [OnRedis]
    [OnRabbitMq]
    public async Task Instances_of_an_app_share_its_events_and_another_app_gets_all(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var first = await runtime.StartAppAsync("reader", [Runtime.To("orders")]);
        var second = await runtime.StartAppAsync("reader", [Runtime.To("orders")]);
        var other = await runtime.StartAppAsync("auditor", [Runtime.To("orders")]);

        for (var i = 0; i < 20; i++)
        {
            await first.PublishAsync("events", "orders", i);
        }

        var all = new HashSet<string>();
        for (var i = 0; i < 20; i++)
        {
            all.Add((await other.NextAsync()).Text("data"));
        }

        Assert.Equal(20, all.Count);
        var shared = new HashSet<string>();
        await Eventually.TrueAsync(async () =>
        {
            foreach (var app in new[] { first, second })
            {
                while (!app.HasNoMore)
                {
                    Assert.True(shared.Add((await app.NextAsync()).Text("data")), "An event reached both instances.");
                }
            }

            return shared.Count == 20;
        });
    }

    [Theory]
    [OnMemory(shared: true)]
    [OnRedis]
    [OnRabbitMq]
    public async Task A_consumer_id_with_a_uuid_gives_every_instance_every_event(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.AddPubSub("everyone", "- { name: consumerID, value: '{uuid}' }");
        var first = await runtime.StartAppAsync("reader", [Runtime.To("orders", pubSub: "everyone")]);
        var second = await runtime.StartAppAsync("reader", [Runtime.To("orders", pubSub: "everyone")]);

        await first.PublishAsync("everyone", "orders", 1);

        Assert.Equal((await first.NextAsync()).Text("id"), (await second.NextAsync()).Text("id"));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task Scopes_are_refused_with_the_error_codes_of_Dapr(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.AddPubSub("theirs", scopes: "scopes: [somebody-else]");
        runtime.AddPubSub("few", "- { name: allowedTopics, value: 'a,b' }");
        runtime.AddPubSub("guarded", "- { name: protectedTopics, value: 'secret' }");
        runtime.AddPubSub("scoped", "- { name: publishingScopes, value: 'writer=a;somebody-else=b' }");
        var app = await runtime.StartAppAsync("writer");

        async Task<(HttpStatusCode, string?)> PublishAsync(string pubSub, string topic)
        {
            var answer = await app.PublishAsync(pubSub, topic, 1);
            return (answer.StatusCode, answer.StatusCode == HttpStatusCode.NoContent ? null : await Runtime.ErrorCodeAsync(answer));
        }

        Assert.Equal((HttpStatusCode.NotFound, "ERR_PUBSUB_NOT_FOUND"), await PublishAsync("theirs", "a"));
        Assert.Equal((HttpStatusCode.NotFound, "ERR_PUBSUB_NOT_FOUND"), await PublishAsync("absent", "a"));
        Assert.Equal((HttpStatusCode.NoContent, null), await PublishAsync("few", "a"));
        Assert.Equal((HttpStatusCode.Forbidden, "ERR_PUBSUB_FORBIDDEN"), await PublishAsync("few", "c"));
        Assert.Equal((HttpStatusCode.NoContent, null), await PublishAsync("guarded", "open"));
        Assert.Equal((HttpStatusCode.Forbidden, "ERR_PUBSUB_FORBIDDEN"), await PublishAsync("guarded", "secret"));
        Assert.Equal((HttpStatusCode.NoContent, null), await PublishAsync("scoped", "a"));
        Assert.Equal((HttpStatusCode.Forbidden, "ERR_PUBSUB_FORBIDDEN"), await PublishAsync("scoped", "b"));
        var error = await Assert.ThrowsAsync<global::Dapr.DaprException>(() => app.Dapr.PublishByteEventAsync("scoped", "b", new byte[] { 1 }));
        Assert.Equal(StatusCode.PermissionDenied, Assert.IsType<RpcException>(error.InnerException).StatusCode);
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    [OnRabbitMq]
    public async Task A_subscription_that_the_scopes_forbid_gets_nothing(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.AddPubSub("scoped", "- { name: subscriptionScopes, value: 'reader=a' }");
        var app = await runtime.StartAppAsync(
            "reader", [Runtime.To("b", "/events/b", "scoped"), Runtime.To("a", "/events/a", "scoped")]);

        await app.PublishAsync("scoped", "b", 1);
        await app.PublishAsync("scoped", "a", 2);

        Assert.Equal("/events/a", (await app.NextAsync()).Path);
        Assert.True(app.HasNoMore);
    }
}
