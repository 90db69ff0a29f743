using System.Text.Json;
using Dapr.Client;
using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver.Events;

/// <summary>Where nodes are asked for snapshots.</summary>
internal interface ISyncTopic
{
    /// <summary>Sends the request to the discoveries of a location.</summary>
    /// <exception cref="Dapr.DaprException">The sidecar or the broker does not take it.</exception>
    Task PublishAsync(Location location, SyncRequest request, CancellationToken cancellation);
}

/// <summary>The topic on Dapr's pub/sub component <see cref="DaprNames.LayerSync"/>.</summary>
internal sealed class DaprSyncTopic(DaprClient dapr) : ISyncTopic
{
    /// <inheritdoc/>
    public Task PublishAsync(Location location, SyncRequest request, CancellationToken cancellation) => dapr.PublishByteEventAsync(
        DaprNames.LayerSync,
        LayerTopics.Sync(location),
        JsonSerializer.SerializeToUtf8Bytes(request, ContractsJson.Default.SyncRequest),
        metadata: new Dictionary<string, string> { ["cloudevent.type"] = SyncRequest.EventType },
        cancellationToken: cancellation);
}
