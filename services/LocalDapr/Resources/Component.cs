namespace SpegelDapr.LocalDapr;

/// <summary>A Dapr component, as its YAML resource states it.</summary>
/// <param name="Name">The name by which apps call it.</param>
/// <param name="Type">Its type, such as <c>pubsub.redis</c>.</param>
public sealed record Component(string Name, string Type)
{
    /// <summary>The version of the type; <c>v1</c> is all there is here.</summary>
    public string Version { get; init; } = "v1";

    /// <summary>The settings under <c>spec.metadata</c>, by name.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; init; } = new Dictionary<string, string>();

    /// <summary>The ids of the apps that may use it; empty for all.</summary>
    public IReadOnlyList<string> Scopes { get; init; } = [];

    /// <summary>Whether the sidecar starts without the component when it fails.</summary>
    public bool IgnoreErrors { get; init; }

    /// <summary>Whether the other says the same.</summary>
    internal bool IsSame(Component other) =>
        this with { Metadata = other.Metadata, Scopes = other.Scopes } == other
        && Scopes.SequenceEqual(other.Scopes)
        && Metadata.Count == other.Metadata.Count
        && !Metadata.Except(other.Metadata).Any();
}
