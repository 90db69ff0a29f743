using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace SpegelDapr.Unit.Blob;

/// <summary>HTTP byte by byte, for what an HTTP client would normalise or refuse to send.</summary>
internal static class RawHttp
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>Sends a request and reads until the other side closes.</summary>
    /// <exception cref="IOException">The connection was reset.</exception>
    public static async Task<byte[]> ExchangeAsync(Uri uri, string request)
    {
        using var deadline = new CancellationTokenSource(Patience);
        using var client = new TcpClient();
        await client.ConnectAsync(uri.Host, uri.Port, deadline.Token);
        var stream = client.GetStream();
        await stream.WriteAsync(Encoding.Latin1.GetBytes(request), deadline.Token);
        using var received = new MemoryStream();
        await stream.CopyToAsync(received, deadline.Token);
        return received.ToArray();
    }

    public static async Task<(int Status, string Headers, string Body)> AskAsync(Uri uri, string method, string target)
    {
        await using var connection = new Connection(uri);
        return await connection.AskAsync(method, target);
    }

    /// <summary>A connection that is used again for as long as the other side lets it.</summary>
    internal sealed class Connection(Uri uri) : IAsyncDisposable
    {
        private TcpClient? _client;

        public async Task<(int Status, string Headers, string Body)> AskAsync(string method, string target)
        {
            using var deadline = new CancellationTokenSource(Patience);
            if (_client is null)
            {
                _client = new TcpClient();
                await _client.ConnectAsync(uri.Host, uri.Port, deadline.Token);
            }

            var stream = _client.GetStream();
            await stream.WriteAsync(Encoding.Latin1.GetBytes($"{method} {target} HTTP/1.1\r\nHost: mirror\r\n\r\n"), deadline.Token);

            var head = new StringBuilder();
            var one = new byte[1];
            while (!head.ToString().EndsWith("\r\n\r\n", StringComparison.Ordinal))
            {
                await stream.ReadExactlyAsync(one, deadline.Token);
                head.Append((char)one[0]);
            }

            var headers = head.ToString();
            var lengthLine = headers.Split("\r\n").Single(line => line.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase));
            var body = new byte[int.Parse(lengthLine.Split(':')[1], CultureInfo.InvariantCulture)];
            await stream.ReadExactlyAsync(body, deadline.Token);
            if (headers.Contains("Connection: close", StringComparison.OrdinalIgnoreCase))
            {
                _client.Dispose();
                _client = null;
            }

            return (int.Parse(headers.Split(' ')[1], CultureInfo.InvariantCulture), headers, Encoding.Latin1.GetString(body));
        }

        public ValueTask DisposeAsync()
        {
            _client?.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
