using System.Text.Json;
using SpegelDapr.LocalDapr.Api;
using SpegelDapr.LocalDapr.Components;
using SpegelDapr.LocalDapr.Invocation;
using SpegelDapr.LocalDapr.Resources;

namespace SpegelDapr.LocalDapr.PubSub;

/// <summary>
/// Delivers the messages of a topic to the app, in Dapr's order of things (dapr/pkg/runtime/subscription): expired ones are dropped; an
/// answer of DROP or 404 drops; RETRY, another status or no answer is tried again by the resiliency policy for the component, if there is
/// one; what still fails goes to the dead-letter topic, if there is one, and else back to the broker.
/// </summary>
internal sealed partial class TopicSubscription(
    TopicRoute route, RetryPolicy? retry, AppChannel channel, Publisher publisher, DeliveryFaults? faults, TimeProvider time, ILogger logger)
{
    private enum Outcome
    {
        Success,
        Dropped,
        Failed,
    }

    /// <summary>Delivers a message; false when the broker is to deliver it again.</summary>
    public async Task<bool> HandleAsync(PubSubMessage message, CancellationToken cancellation)
    {
        try
        {
            return await HandleWithFaultsAsync(message, cancellation);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // Whoever calls this delivers the topic's other messages as well, and must go on.
            Log.Failed(logger, e, route.Topic);
            return false;
        }
    }

    private async Task<bool> HandleWithFaultsAsync(PubSubMessage message, CancellationToken cancellation)
    {
        if (faults is null)
        {
            return await HandleOnceAsync(message, cancellation);
        }

        var deliveries = await Task.WhenAll(faults.NextDelays().Select(async delay =>
        {
            await Task.Delay(delay, time, cancellation);
            return await HandleOnceAsync(message, cancellation);
        }));
        return deliveries.All(done => done);
    }

    private async Task<bool> HandleOnceAsync(PubSubMessage message, CancellationToken cancellation)
    {
        var body = route.IsRaw ? CloudEventEnvelope.WrapRaw(message.Data, route.PubSubName, route.Topic) : message.Data;
        string id;
        try
        {
            using var envelope = JsonDocument.Parse(body);
            id = envelope.RootElement.TryGetProperty("id", out var value) ? value.ToString() : "";
            if (CloudEventEnvelope.HasExpired(envelope.RootElement, time.GetUtcNow()))
            {
                Log.Expired(logger, id, route.Topic);
                await TryDeadLetterAsync(message, cancellation);
                return true;
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            Log.NoCloudEvent(logger, route.Topic, e.Message);
            return await TryDeadLetterAsync(message, cancellation);
        }

        return await DeliverAsync(message, body, id, cancellation) switch
        {
            Outcome.Success => true,
            Outcome.Dropped => await TryDeadLetterAsync(message, cancellation) || route.DeadLetterTopic.Length == 0,
            _ => await TryDeadLetterAsync(message, cancellation),
        };
    }

    private async Task<Outcome> DeliverAsync(PubSubMessage message, ReadOnlyMemory<byte> body, string id, CancellationToken cancellation)
    {
        for (var attempt = 1; ; attempt++)
        {
            var outcome = await PostAsync(message, body, id, cancellation);
            if (outcome is not Outcome.Failed || retry?.Delay(attempt) is not { } delay)
            {
                return outcome;
            }

            await Task.Delay(delay, time, cancellation);
        }
    }

    private async Task<Outcome> PostAsync(PubSubMessage message, ReadOnlyMemory<byte> body, string id, CancellationToken cancellation)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/" + route.Path.TrimStart('/')) { Content = new ReadOnlyMemoryContent(body) };
        request.Content.Headers.TryAddWithoutValidation("Content-Type", CloudEventEnvelope.ContentType);
        foreach (var (name, value) in message.Metadata)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        request.Headers.TryAddWithoutValidation("pubsubName", route.PubSubName);
        try
        {
            using var answer = await channel.SendAsync(request, cancellation);
            if (answer.IsSuccessStatusCode)
            {
                return ByStatus(await answer.Content.ReadAsByteArrayAsync(cancellation), id);
            }

            Log.Refused(logger, id, route.Topic, (int)answer.StatusCode);
            return answer.StatusCode == System.Net.HttpStatusCode.NotFound ? Outcome.Dropped : Outcome.Failed;
        }
        catch (HttpRequestException e)
        {
            Log.NoAnswer(logger, id, route.Topic, e.Message);
            return Outcome.Failed;
        }
    }

    // A body that is no JSON object with a status is a success, as any 2xx without a body is.
    private Outcome ByStatus(byte[] answer, string id)
    {
        string? status;
        try
        {
            using var json = JsonDocument.Parse(answer);
            status = json.RootElement.TryGetProperty("status", out var value) ? value.GetString() : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return Outcome.Success;
        }

        switch (status)
        {
            case null or "" or "SUCCESS":
                return Outcome.Success;
            case "DROP":
                Log.Dropped(logger, id, route.Topic);
                return Outcome.Dropped;
            default:
                Log.Retry(logger, id, route.Topic, status);
                return Outcome.Failed;
        }
    }

    private async Task<bool> TryDeadLetterAsync(PubSubMessage message, CancellationToken cancellation)
    {
        if (route.DeadLetterTopic.Length == 0)
        {
            return false;
        }

        try
        {
            await publisher.ForwardAsync(route.PubSubName, route.DeadLetterTopic, message, cancellation);
            return true;
        }
        catch (DaprException e)
        {
            Log.DeadLetterFailed(logger, route.Topic, route.DeadLetterTopic, e.Message);
            return false;
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Error, Message = "A message of topic {Topic} could not be delivered.")]
        public static partial void Failed(ILogger logger, Exception exception, string topic);

        [LoggerMessage(Level = LogLevel.Warning, Message = "Event {Id} of topic {Topic} has expired; dropped.")]
        public static partial void Expired(ILogger logger, string id, string topic);

        [LoggerMessage(Level = LogLevel.Error, Message = "A message of topic {Topic} is no CloudEvent: {Reason}")]
        public static partial void NoCloudEvent(ILogger logger, string topic, string reason);

        [LoggerMessage(Level = LogLevel.Warning, Message = "The app answered event {Id} of topic {Topic} with {Status}.")]
        public static partial void Refused(ILogger logger, string id, string topic, int status);

        [LoggerMessage(Level = LogLevel.Warning, Message = "The app does not answer event {Id} of topic {Topic}: {Reason}")]
        public static partial void NoAnswer(ILogger logger, string id, string topic, string reason);

        [LoggerMessage(Level = LogLevel.Warning, Message = "The app drops event {Id} of topic {Topic}.")]
        public static partial void Dropped(ILogger logger, string id, string topic);

        [LoggerMessage(Level = LogLevel.Debug, Message = "The app asks for event {Id} of topic {Topic} again: {Status}.")]
        public static partial void Retry(ILogger logger, string id, string topic, string status);

        [LoggerMessage(Level = LogLevel.Warning, Message = "A message of topic {Topic} could not be sent to the dead-letter topic {DeadLetterTopic}: {Reason}")]
        public static partial void DeadLetterFailed(ILogger logger, string topic, string deadLetterTopic, string reason);
    }
}
