using RabbitMQ.Client;

namespace SpegelDapr.LocalDapr.Components.RabbitMq;

/// <summary>The exchanges and queues of topics, declared as components-contrib declares them, so that both can use the same broker.</summary>
internal static class RabbitMqTopology
{
    /// <summary>Declares a topic's exchange, which has the topic's name.</summary>
    public static Task DeclareExchangeAsync(IChannel channel, RabbitMqSettings settings, string topic, CancellationToken cancellation) =>
        channel.ExchangeDeclareAsync(
            topic, settings.ExchangeType, settings.IsDurable, settings.IsDeletedWhenUnused, cancellationToken: cancellation);

    /// <summary>Declares the queue of a topic's consumer group, bound to the topic's exchange, and returns its name.</summary>
    public static async Task<string> DeclareQueueAsync(IChannel channel, RabbitMqSettings settings, string topic, CancellationToken cancellation)
    {
        await DeclareExchangeAsync(channel, settings, topic, cancellation);
        var queue = settings.Queue(topic);
        var arguments = settings.QueueArguments();
        if (settings.HasDeadLetterQueues)
        {
            arguments["x-dead-letter-exchange"] = await DeclareDeadLettersAsync(channel, settings, queue, cancellation);
        }

        arguments["x-queue-type"] = "classic";
        await channel.QueueDeclareAsync(
            queue, settings.IsDurable, exclusive: false, settings.IsDeletedWhenUnused, arguments, cancellationToken: cancellation);
        await channel.QueueBindAsync(queue, topic, routingKey: "", cancellationToken: cancellation);
        return queue;
    }

    private static async Task<string> DeclareDeadLettersAsync(IChannel channel, RabbitMqSettings settings, string queue, CancellationToken cancellation)
    {
        var (exchange, deadLetters) = ($"dlx-{queue}", $"dlq-{queue}");
        await channel.ExchangeDeclareAsync(
            exchange, ExchangeType.Fanout, durable: true, settings.IsDeletedWhenUnused, cancellationToken: cancellation);
        var arguments = settings.QueueArguments();
        arguments["x-queue-mode"] = "lazy";
        await channel.QueueDeclareAsync(
            deadLetters, durable: true, exclusive: false, settings.IsDeletedWhenUnused, arguments, cancellationToken: cancellation);
        await channel.QueueBindAsync(deadLetters, exchange, routingKey: "", cancellationToken: cancellation);
        return exchange;
    }
}
