namespace SpegelDapr.LocalDapr.PubSub;

/// <summary>A subscription of the app, from its answer to <c>GET /dapr/subscribe</c>.</summary>
internal sealed record TopicRoute(string PubSubName, string Topic, string Path, string DeadLetterTopic, IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>Whether messages of the topic are delivered in an envelope made here, because publishers do not make one.</summary>
    public bool IsRaw => Metadata.TryGetValue("rawPayload", out var text) && bool.TryParse(text, out var raw) && raw;
}
