using System.Net;
using System.Net.Sockets;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

/// <summary>Stands before a node, and on each connection flips a bit of one byte that the node sends: a bad cable, or a bad memory.</summary>
internal sealed class FlippingProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stopping = new();
    private readonly Uri _target;
    private readonly long _at;
    private readonly Task _accepting;

    /// <param name="target">The node's address.</param>
    /// <param name="at">How many bytes of a connection come before the wrong one.</param>
    public FlippingProxy(Uri target, long at)
    {
        (_target, _at) = (target, at);
        _listener.Start();
        _accepting = AcceptAsync();
    }

    /// <summary>The node, where others find it behind this proxy.</summary>
    public NodeIdentity Before(NodeIdentity node) => node with { Address = BlobAddress.Parse($"http://{_listener.LocalEndpoint}") };

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _accepting;
        _listener.Stop();
        _stopping.Dispose();
    }

    private async Task AcceptAsync()
    {
        List<Task> serving = [];
        try
        {
            while (true)
            {
                serving.Add(ServeAsync(await _listener.AcceptTcpClientAsync(_stopping.Token)));
            }
        }
        catch (OperationCanceledException)
        {
            await Task.WhenAll(serving);
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using var node = new TcpClient();
        using (client)
        {
            try
            {
                await node.ConnectAsync(_target.Host, _target.Port, _stopping.Token);
                await Task.WhenAny(PumpAsync(client, node, long.MaxValue), PumpAsync(node, client, _at));
            }
            catch (SocketException)
            {
                // The node is gone, and so is the connection to it.
            }
        }
    }

    private async Task PumpAsync(TcpClient from, TcpClient to, long wrongAt)
    {
        var buffer = new byte[16 * 1024];
        try
        {
            for (long passed = 0; await from.GetStream().ReadAsync(buffer, _stopping.Token) is var read and > 0; passed += read)
            {
                if (wrongAt >= passed && wrongAt < passed + read)
                {
                    buffer[wrongAt - passed] ^= 0x10;
                }

                await to.GetStream().WriteAsync(buffer.AsMemory(0, read), _stopping.Token);
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // One side hung up, or the test is over.
        }
    }
}
