using Dapr;
using Dapr.Client;
using Grpc.Core;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Discovery.Publishing;

/// <summary>Publishes through the sidecar, on the topic of the node's location.</summary>
internal sealed class DaprEventSink(DaprClient dapr, IOptions<NodeOptions> node, IConfiguration configuration) : IEventSink
{
    /// <summary>The metadata by which the publisher sets the CloudEvent's type (dapr's pkg/runtime/pubsub/cloudevents.go).</summary>
    private const string TypeMetadata = "cloudevent.type";

    private readonly string _topic = LayerTopics.Events(node.Value.Location);

    public async Task SendAsync(LayerEvent layerEvent, ReadOnlyMemory<byte> json, CancellationToken cancellationToken)
    {
        try
        {
            await dapr.PublishByteEventAsync(
                DaprNames.LayerEvents,
                _topic,
                json,
                metadata: new Dictionary<string, string> { [TypeMetadata] = layerEvent.Type },
                cancellationToken: cancellationToken);
        }
        catch (DaprException e)
        {
            throw new EventNotTakenException(SidecarFailure.Describe(e, configuration), e);
        }
    }

    /// <summary>Asks the sidecar to exit, if its API answers; its platform starts it again.</summary>
    public async Task<bool> TryRestartAsync(CancellationToken cancellationToken)
    {
        try
        {
            if (!await dapr.CheckOutboundHealthAsync(cancellationToken))
            {
                return false;
            }

            await dapr.ShutdownSidecarAsync(cancellationToken);
            return true;
        }
        catch (RpcException)
        {
            return false;
        }
    }
}
