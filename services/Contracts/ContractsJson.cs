using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpegelDapr.Contracts;

/// <summary>The JSON of everything that goes between services: camel case, absent instead of null, required members required.</summary>
[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(CloudEvent))]
[JsonSerializable(typeof(SnapshotEvent))]
[JsonSerializable(typeof(DeltaEvent))]
[JsonSerializable(typeof(HeartbeatEvent))]
[JsonSerializable(typeof(LeavingEvent))]
[JsonSerializable(typeof(HearingRequest))]
[JsonSerializable(typeof(HearingAnswer))]
[JsonSerializable(typeof(SnapshotWish))]
[JsonSerializable(typeof(ResolveRequest))]
[JsonSerializable(typeof(ResolveAnswer))]
[JsonSerializable(typeof(NodeAnswer))]
[JsonSerializable(typeof(FollowRequest))]
[JsonSerializable(typeof(FollowAnswer))]
[JsonSerializable(typeof(InFlightAnswer))]
[JsonSerializable(typeof(Explanation))]
[JsonSerializable(typeof(RecordedTransfers))]
public sealed partial class ContractsJson : JsonSerializerContext
{
    /// <summary>The JSON of an event, in UTF-8.</summary>
    public static byte[] Serialize(LayerEvent layerEvent) => layerEvent switch
    {
        SnapshotEvent e => JsonSerializer.SerializeToUtf8Bytes(e, Default.SnapshotEvent),
        DeltaEvent e => JsonSerializer.SerializeToUtf8Bytes(e, Default.DeltaEvent),
        HeartbeatEvent e => JsonSerializer.SerializeToUtf8Bytes(e, Default.HeartbeatEvent),
        LeavingEvent e => JsonSerializer.SerializeToUtf8Bytes(e, Default.LeavingEvent),
        _ => throw new ArgumentOutOfRangeException(nameof(layerEvent), layerEvent.GetType(), null),
    };
}
