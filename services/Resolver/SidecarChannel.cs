using Dapr;
using Grpc.Core;
using Grpc.Net.Client;
using SpegelDapr.ServiceDefaults;
using DaprApi = Dapr.Client.Autogen.Grpc.v1.Dapr;

namespace SpegelDapr.Resolver;

/// <summary>Dapr's gRPC API itself, for what <c>DaprClient</c> leaves out: errors of single keys, and the sidecar's subscriptions.</summary>
internal sealed class SidecarChannel : IDisposable
{
    private const int MostReceivedBytes = 16 * 1024 * 1024;

    private readonly GrpcChannel _channel;

    public SidecarChannel(IConfiguration configuration)
    {
        var options = ServiceDefaultsExtensions.SidecarChannelOptions();
        options.MaxReceiveMessageSize = MostReceivedBytes;
        _channel = GrpcChannel.ForAddress(DaprDefaults.GetDefaultGrpcEndpoint(configuration), options);
        Dapr = new DaprApi.DaprClient(_channel);
        if (DaprDefaults.GetDefaultDaprApiToken(configuration) is { Length: > 0 } token)
        {
            Headers.Add("dapr-api-token", token);
        }
    }

    /// <summary>The API's methods. Each call takes the <see cref="Headers"/>.</summary>
    public DaprApi.DaprClient Dapr { get; }

    /// <summary>The API token, where the sidecar wants one.</summary>
    public Metadata Headers { get; } = [];

    public void Dispose() => _channel.Dispose();
}
