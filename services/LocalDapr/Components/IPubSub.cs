namespace SpegelDapr.LocalDapr.Components;

/// <summary>A message of a topic.</summary>
/// <param name="Data">What was published: a CloudEvent in JSON, or raw bytes.</param>
/// <param name="Metadata">The metadata it was published with.</param>
internal sealed record PubSubMessage(ReadOnlyMemory<byte> Data, IReadOnlyDictionary<string, string> Metadata);

/// <summary>Handles a message; false when the broker is to deliver it again.</summary>
internal delegate Task<bool> MessageHandler(PubSubMessage message, CancellationToken cancellation);

/// <summary>A pub/sub broker as one sidecar sees it.</summary>
internal interface IPubSub : IAsyncDisposable
{
    /// <summary>What <c>/v1.0/metadata</c> lists, in the names of components-contrib.</summary>
    IReadOnlyList<string> Capabilities { get; }

    /// <summary>Publishes, and returns when the broker has it.</summary>
    Task PublishAsync(string topic, PubSubMessage message, CancellationToken cancellation);

    /// <summary>
    /// Delivers the topic's messages, several at a time, to the handler: each to one subscriber of the component's consumer group. Messages
    /// published after this returns are delivered. Disposing the result ends it.
    /// </summary>
    Task<IAsyncDisposable> SubscribeAsync(string topic, MessageHandler handler, CancellationToken cancellation);
}
