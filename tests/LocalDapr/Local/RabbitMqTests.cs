using Microsoft.AspNetCore.Http;
using RabbitMQ.Client;
using SpegelDapr.LocalDapr.Tests.Support;

namespace SpegelDapr.LocalDapr.Tests.Local;

/// <summary>What is RabbitMQ's own: what becomes of a message that no retry policy saves, and the names of exchanges and queues.</summary>
public sealed class RabbitMqTests
{
    [Theory]
    [OnRabbitMq]
    public async Task What_fails_goes_back_into_its_queue_when_the_component_says_so(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.AddPubSub("patient", "- { name: requeueInFailure, value: 'true' }");
        var app = await runtime.StartAppAsync("reader", [Runtime.To("orders", pubSub: "patient")]);
        app.Answers.Enqueue(Results.Json(new { status = "RETRY" }));

        await app.PublishAsync("patient", "orders", 1);

        Assert.Equal((await app.NextAsync()).Text("id"), (await app.NextAsync()).Text("id"));
    }

    [Theory]
    [OnRabbitMq]
    public async Task What_fails_is_kept_in_the_dead_letter_queue_of_its_queue(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.AddPubSub("kept", "- { name: enableDeadLetter, value: 'true' }\n  - { name: maxLen, value: '10' }\n  - { name: prefetchCount, value: '1' }");
        var app = await runtime.StartAppAsync("reader", [Runtime.To("orders", pubSub: "kept")]);
        app.Answers.Enqueue(Results.Json(new { status = "RETRY" }));

        await app.PublishAsync("kept", "orders", "bad");

        var id = (await app.NextAsync()).Text("id");
        await using var connection = await new ConnectionFactory { Uri = runtime.RabbitMq! }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        BasicGetResult? kept = null;
        await Eventually.TrueAsync(async () => (kept = await channel.BasicGetAsync("dlq-reader-orders", autoAck: true)) is not null);
        Assert.Contains(id, System.Text.Encoding.UTF8.GetString(kept!.Body.Span), StringComparison.Ordinal);
    }
}
