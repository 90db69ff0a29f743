using System.Text.Json;
using System.Text.Json.Serialization;
using SpegelDapr.Resolver.Holders;
using SpegelDapr.Resolver.InFlight;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Subscribing;

namespace SpegelDapr.Resolver.Store;

/// <summary>The JSON of the documents in the store.</summary>
[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(Lease))]
[JsonSerializable(typeof(HolderDocument))]
[JsonSerializable(typeof(InFlightDocument))]
[JsonSerializable(typeof(RestartTurn))]
internal sealed partial class StoreJson : JsonSerializerContext;
