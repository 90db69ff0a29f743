using Dapr.Client.Autogen.Grpc.v1;
using Grpc.Core;
using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver.Subscribing;

/// <summary>What a sidecar says of itself.</summary>
/// <param name="Topics">
/// The topics on <see cref="DaprNames.LayerEvents"/> that it has been told to subscribe to, also those that its scopes refuse; of the resolver's own
/// none as long as it has not asked.
/// </param>
/// <param name="Declared">Those of them that <c>Subscription</c> resources declare.</param>
/// <param name="HasEvents">Whether it has the component at all. It may have left it out because the broker was away.</param>
/// <param name="HotReloads">Whether it takes in changed components and subscriptions while it runs: by default from Dapr 1.18.</param>
internal sealed record SidecarState(IReadOnlySet<string> Topics, IReadOnlySet<string> Declared, bool HasEvents, bool HotReloads)
{
    /// <summary>Whether resources say what it hears, and it takes in what they come to say.</summary>
    public bool IsDeclared => HotReloads && Declared.Count > 0;
}

/// <summary>The resolver's own sidecar and what it is subscribed to.</summary>
internal interface ISidecar
{
    /// <summary>Asks how it is.</summary>
    /// <exception cref="RpcException">It does not answer.</exception>
    Task<SidecarState> ReadAsync(CancellationToken cancellation);

    /// <summary>Asks it to finish what it has in hand and exit. Its platform starts it again.</summary>
    /// <exception cref="RpcException">It does not answer, or this API is not allowed.</exception>
    Task ShutdownAsync(CancellationToken cancellation);
}

/// <summary>The sidecar by Dapr's API; <c>DaprClient</c> does not tell its subscriptions.</summary>
internal sealed class DaprSidecar(SidecarChannel sidecar) : ISidecar
{
    /// <summary>The feature's name (dapr/dapr, pkg/config/configuration.go).</summary>
    private const string HotReload = "HotReload";

    /// <inheritdoc/>
    public async Task<SidecarState> ReadAsync(CancellationToken cancellation)
    {
        var metadata = await sidecar.Dapr.GetMetadataAsync(new GetMetadataRequest(), sidecar.Headers, cancellationToken: cancellation);
        var subscriptions = metadata.Subscriptions.Where(subscription => subscription.PubsubName == DaprNames.LayerEvents).ToList();
        return new SidecarState(
            subscriptions.Select(subscription => subscription.Topic).ToHashSet(),
            subscriptions.Where(subscription => subscription.Type == PubsubSubscriptionType.Declarative).Select(subscription => subscription.Topic).ToHashSet(),
            metadata.RegisteredComponents.Any(component => component.Name == DaprNames.LayerEvents),
            metadata.EnabledFeatures.Contains(HotReload));
    }

    /// <inheritdoc/>
    public async Task ShutdownAsync(CancellationToken cancellation) =>
        await sidecar.Dapr.ShutdownAsync(new ShutdownRequest(), sidecar.Headers, cancellationToken: cancellation);
}
