using System.Net.Sockets;
using Grpc.Net.Client;

namespace SpegelDapr.Discovery.Containerd;

/// <summary>Connections to containerd's socket.</summary>
internal static class ContainerdChannel
{
    /// <summary>containerd's own limit, DefaultMaxSendMsgSize in its defaults package.</summary>
    private const int MaxMessageBytes = 16 * 1024 * 1024;

    /// <summary>A channel that connects when a call needs it.</summary>
    /// <param name="socket">The socket's full path.</param>
    public static GrpcChannel Open(string socket)
    {
        var endPoint = new UnixDomainSocketEndPoint(socket);
        return GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
        {
            MaxReceiveMessageSize = MaxMessageBytes,
            ThrowOperationCanceledOnCancellation = true,
            DisposeHttpClient = true,
            HttpHandler = new SocketsHttpHandler
            {
                UseProxy = false,
                ConnectCallback = async (_, cancellationToken) => await ConnectAsync(endPoint, cancellationToken),
            },
        });
    }

    private static async ValueTask<Stream> ConnectAsync(UnixDomainSocketEndPoint endPoint, CancellationToken cancellationToken)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(endPoint, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
