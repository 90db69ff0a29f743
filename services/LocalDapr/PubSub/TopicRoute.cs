namespace SpegelDapr.LocalDapr.PubSub;

/// <summary>A subscription of the app, from its answer to <c>GET /dapr/subscribe</c> or from a <c>Subscription</c> resource.</summary>
internal sealed record TopicRoute(string PubSubName, string Topic, string Path, string DeadLetterTopic, IReadOnlyDictionary<string, string> Metadata)
{
    /// <summary>Whether messages of the topic are delivered in an envelope made here, because publishers do not make one.</summary>
    public bool IsRaw => Metadata.TryGetValue("rawPayload", out var text) && bool.TryParse(text, out var raw) && raw;

    /// <summary>Whether the other says the same.</summary>
    public bool IsSame(TopicRoute other) => this with { Metadata = other.Metadata } == other && Metadata.Count == other.Metadata.Count && !Metadata.Except(other.Metadata).Any();
}

/// <summary>A <c>Subscription</c> resource.</summary>
/// <param name="Name">The resource's name.</param>
/// <param name="Scopes">The app ids that it names: when they change, Dapr takes it for another one.</param>
/// <param name="Route">What it subscribes the app to.</param>
internal sealed record DeclaredSubscription(string Name, IReadOnlyList<string> Scopes, TopicRoute Route)
{
    /// <summary>Whether the other says the same.</summary>
    public bool IsSame(DeclaredSubscription other) => Name == other.Name && Scopes.SequenceEqual(other.Scopes) && Route.IsSame(other.Route);
}

/// <summary>A subscription as the metadata tell it.</summary>
/// <param name="Name">The name of the resource that declares it; null when the app has told it.</param>
/// <param name="Route">What the app is subscribed to.</param>
internal sealed record NamedRoute(string? Name, TopicRoute Route);
