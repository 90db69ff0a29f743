using System.Text.Json;
using SpegelDapr.LocalDapr.Api;
using SpegelDapr.LocalDapr.Components;

namespace SpegelDapr.LocalDapr.PubSub;

/// <summary>The publish API behind HTTP and gRPC.</summary>
internal sealed class Publisher(AppSpec app, ComponentSet components, TimeProvider time)
{
    private const string RawPayload = "rawPayload";
    private volatile bool _isLost;

    /// <summary>From now on nothing is published, until the sidecar is started again.</summary>
    public void Lose() => _isLost = true;

    /// <summary>Wraps the data in a CloudEvent, unless the metadata asks for the raw payload, and publishes it.</summary>
    /// <exception cref="DaprException">There is no such component or topic, the topic is not allowed, or the broker fails.</exception>
    public async Task PublishAsync(
        string pubSubName, string topic, ReadOnlyMemory<byte> data, string contentType, IReadOnlyDictionary<string, string> metadata,
        string? traceParent, CancellationToken cancellation)
    {
        var pubSub = Find(pubSubName, topic);
        if (!IsRaw(metadata))
        {
            try
            {
                data = CloudEventEnvelope.Wrap(
                    data, contentType, app.AppId, pubSubName, topic, metadata, TraceParent.Continue(traceParent), time.GetUtcNow());
            }
            catch (JsonException e)
            {
                throw DaprErrors.CloudEventCreation(app.AppId, e.Message);
            }
        }

        await SendAsync(pubSub, topic, new PubSubMessage(data, metadata), cancellation);
    }

    /// <summary>Publishes a message as it is: to a dead-letter topic.</summary>
    public Task ForwardAsync(string pubSubName, string topic, PubSubMessage message, CancellationToken cancellation) =>
        SendAsync(Find(pubSubName, topic), topic, message, cancellation);

    /// <summary>The component, when the request names one and a topic.</summary>
    /// <exception cref="DaprException">It does not.</exception>
    public ScopedPubSub Find(string pubSubName, string topic)
    {
        if (pubSubName.Length == 0)
        {
            throw DaprErrors.PubSubNameEmpty();
        }

        var pubSub = components.PubSubs.GetValueOrDefault(pubSubName) ?? throw DaprErrors.PubSubNotFound(pubSubName);
        return topic.Length > 0 ? pubSub : throw DaprErrors.TopicEmpty(pubSubName);
    }

    private async Task SendAsync(ScopedPubSub pubSub, string topic, PubSubMessage message, CancellationToken cancellation)
    {
        if (!pubSub.Scopes.MayPublish(topic))
        {
            throw DaprErrors.PublishForbidden(topic, app.AppId);
        }

        if (_isLost)
        {
            throw DaprErrors.Publish(pubSub.Name, topic, "the connection has been lost on purpose");
        }

        try
        {
            await pubSub.Component.PublishAsync(topic, message, cancellation);
        }
        catch (Exception e) when (BackendError.Is(e))
        {
            throw DaprErrors.Publish(pubSub.Name, topic, e.Message);
        }
    }

    private static bool IsRaw(IReadOnlyDictionary<string, string> metadata) =>
        metadata.TryGetValue(RawPayload, out var text) && text.Length > 0
        && (bool.TryParse(text, out var raw) ? raw : throw DaprErrors.MetadataMalformed($"{RawPayload} is '{text}', neither true nor false"));
}
