using Dapr.Client.Autogen.Grpc.v1;
using Grpc.Core;
using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver.Subscribing;

/// <summary>The resolver's own sidecar and what it is subscribed to.</summary>
internal interface ISidecar
{
    /// <summary>
    /// The topics on <see cref="DaprNames.LayerEvents"/> that it has been told to subscribe to, also those that its scopes refuse; none as long as
    /// it has not asked.
    /// </summary>
    /// <exception cref="RpcException">It does not answer.</exception>
    Task<IReadOnlySet<string>> ReadTopicsAsync(CancellationToken cancellation);

    /// <summary>Asks it to finish what it has in hand and exit. Whoever runs it starts it again.</summary>
    /// <exception cref="RpcException">It does not answer, or this API is not allowed.</exception>
    Task ShutdownAsync(CancellationToken cancellation);
}

/// <summary>The sidecar by Dapr's API; <c>DaprClient</c> does not tell its subscriptions.</summary>
internal sealed class DaprSidecar(SidecarChannel sidecar) : ISidecar
{
    /// <inheritdoc/>
    public async Task<IReadOnlySet<string>> ReadTopicsAsync(CancellationToken cancellation)
    {
        var metadata = await sidecar.Dapr.GetMetadataAsync(new GetMetadataRequest(), sidecar.Headers, cancellationToken: cancellation);
        return metadata.Subscriptions
            .Where(subscription => subscription.PubsubName == DaprNames.LayerEvents)
            .Select(subscription => subscription.Topic)
            .ToHashSet();
    }

    /// <inheritdoc/>
    public async Task ShutdownAsync(CancellationToken cancellation) =>
        await sidecar.Dapr.ShutdownAsync(new ShutdownRequest(), sidecar.Headers, cancellationToken: cancellation);
}
