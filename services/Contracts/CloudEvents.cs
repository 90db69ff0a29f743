using System.Text.Json;

namespace SpegelDapr.Contracts;

/// <summary>
/// The parts of a CloudEvent (CloudEvents 1.0, JSON format) that Dapr delivers to a subscriber and that we look at.
/// </summary>
/// <param name="Type">The event's type.</param>
/// <param name="Topic">The topic Dapr received it on (Dapr's extension attribute <c>topic</c>).</param>
/// <param name="Data">The event's data.</param>
public sealed record CloudEvent(string? Type = null, string? Topic = null, JsonElement Data = default)
{
    /// <summary>The layer event in the data, by the event's type.</summary>
    /// <exception cref="JsonException">The type is not known, or the data is not an event of it.</exception>
    public LayerEvent ToLayerEvent() => Type switch
    {
        SnapshotEvent.EventType => Read(ContractsJson.Default.SnapshotEvent),
        DeltaEvent.EventType => Read(ContractsJson.Default.DeltaEvent),
        HeartbeatEvent.EventType => Read(ContractsJson.Default.HeartbeatEvent),
        LeavingEvent.EventType => Read(ContractsJson.Default.LeavingEvent),
        _ => throw new JsonException($"'{Type}' is not the type of a layer event."),
    };

    /// <summary>The wish for a snapshot in the data.</summary>
    /// <exception cref="JsonException">The type is another, or the data is not a wish.</exception>
    public SnapshotWish ToSnapshotWish() =>
        Type == SnapshotWish.EventType ? Read(ContractsJson.Default.SnapshotWish) : throw new JsonException($"'{Type}' is not the type of a wish for a snapshot.");

    private T Read<T>(System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type) =>
        Data.ValueKind == JsonValueKind.Object ? Data.Deserialize(type)! : throw new JsonException($"The data of a '{Type}' is not an object.");
}
