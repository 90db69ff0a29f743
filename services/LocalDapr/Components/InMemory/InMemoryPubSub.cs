namespace SpegelDapr.LocalDapr.Components.InMemory;

/// <summary>A sidecar's side of an <see cref="InMemoryBroker"/>.</summary>
internal sealed class InMemoryPubSub(InMemoryBroker broker, string consumerGroup) : IPubSub
{
    public IReadOnlyList<string> Capabilities { get; } = [];

    public Task PublishAsync(string topic, PubSubMessage message, CancellationToken cancellation)
    {
        broker.Publish(topic, message);
        return Task.CompletedTask;
    }

    public Task<IAsyncDisposable> SubscribeAsync(string topic, MessageHandler handler, CancellationToken cancellation) =>
        Task.FromResult(broker.Join(topic, consumerGroup, handler));

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
