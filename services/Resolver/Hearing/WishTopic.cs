using System.Text.Json;
using Dapr.Client;
using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver.Hearing;

/// <summary>Where snapshots of other zones' nodes are wished for.</summary>
internal interface IWishTopic
{
    /// <summary>Sends the wish to the resolvers of a location.</summary>
    /// <exception cref="Dapr.DaprException">The sidecar or the broker does not take it.</exception>
    Task PublishAsync(Location location, SnapshotWish wish, CancellationToken cancellation);
}

/// <summary>The topic on Dapr's pub/sub component <see cref="DaprNames.LayerEvents"/>.</summary>
internal sealed class DaprWishTopic(DaprClient dapr) : IWishTopic
{
    /// <inheritdoc/>
    public Task PublishAsync(Location location, SnapshotWish wish, CancellationToken cancellation) => dapr.PublishByteEventAsync(
        DaprNames.LayerEvents,
        LayerTopics.Wishes(location),
        JsonSerializer.SerializeToUtf8Bytes(wish, ContractsJson.Default.SnapshotWish),
        metadata: new Dictionary<string, string> { ["cloudevent.type"] = SnapshotWish.EventType },
        cancellationToken: cancellation);
}
