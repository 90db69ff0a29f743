using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace SpegelDapr.Benchmarks;

/// <summary>A client that does nothing but receive, so that the server is what is measured.</summary>
internal static class Download
{
    private const int BufferSize = 1024 * 1024;

    /// <summary>Gets <paramref name="uri"/> over so many connections at once, and returns bytes per second over all of them.</summary>
    public static async Task<double> ThroughputAsync(Uri uri, int connections)
    {
        var clock = Stopwatch.StartNew();
        var bytes = await Task.WhenAll(Enumerable.Range(0, connections).Select(_ => Task.Run(() => Get(uri))));
        return bytes.Sum() / clock.Elapsed.TotalSeconds;
    }

    private static long Get(Uri uri)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 60_000 };
        socket.Connect(uri.Host, uri.Port);
        socket.Send(Encoding.ASCII.GetBytes($"GET {uri.PathAndQuery} HTTP/1.1\r\nHost: {uri.Authority}\r\nConnection: close\r\n\r\n"));
        var buffer = new byte[BufferSize];
        var filled = 0;
        int headerEnd;
        while ((headerEnd = buffer.AsSpan(0, filled).IndexOf("\r\n\r\n"u8)) < 0)
        {
            filled += ReceiveSome(socket, buffer.AsSpan(filled));
        }

        var header = Encoding.ASCII.GetString(buffer, 0, headerEnd).Split("\r\n");
        if (!header[0].Contains(" 200 ", StringComparison.Ordinal))
        {
            throw new InvalidOperationException($"{uri} answered {header[0]}.");
        }

        var length = long.Parse(
            header.First(line => line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase)).Split(':')[1],
            CultureInfo.InvariantCulture);
        for (var received = filled - headerEnd - 4L; received < length;)
        {
            received += ReceiveSome(socket, buffer);
        }

        return length;
    }

    private static int ReceiveSome(Socket socket, Span<byte> buffer) =>
        socket.Receive(buffer) is var read and > 0 ? read : throw new IOException("The server closed the connection too early.");
}
