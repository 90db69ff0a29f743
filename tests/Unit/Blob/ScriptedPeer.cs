using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

/// <summary>A holder that does to a connection whatever a test wants done, for each request on it.</summary>
internal sealed class ScriptedPeer : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stopping = new();
    private readonly Func<Call, Task> _script;
    private readonly Task _accepting;
    private int _calls;

    public ScriptedPeer(Func<Call, Task> script)
    {
        _script = script;
        _listener.Start();
        _accepting = AcceptAsync();
    }

    /// <summary>How many requests it has had.</summary>
    public int Calls => Volatile.Read(ref _calls);

    /// <summary>The heads of all requests: request line and headers.</summary>
    public ConcurrentQueue<string> Heads { get; } = new();

    /// <summary>The peer as a holder for a node in <c>eu/a</c>.</summary>
    public Holder AsHolder(string name = "bad", string location = "eu/a") => new(
        new NodeIdentity(NodeName.Parse(name), Location.Parse(location), BlobAddress.Parse($"http://{_listener.LocalEndpoint}")),
        Location.Parse("eu/a").TierTo(Location.Parse(location)));

    /// <summary>A peer that gives content as it should, ranges too.</summary>
    public static ScriptedPeer Good(byte[] content) => new(call => call.SendAsync(content));

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
        catch (Exception) when (_stopping.IsCancellationRequested)
        {
            await Task.WhenAll(serving);
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        {
            try
            {
                using var reader = new StreamReader(client.GetStream(), Encoding.ASCII, leaveOpen: true);
                while (await reader.ReadLineAsync(_stopping.Token) is { Length: > 0 } line)
                {
                    var head = new StringBuilder(line).AppendLine();
                    while (await reader.ReadLineAsync(_stopping.Token) is { Length: > 0 } header)
                    {
                        head.AppendLine(header);
                    }

                    Heads.Enqueue(head.ToString());
                    Interlocked.Increment(ref _calls);
                    var call = new Call(client, head.ToString(), _stopping.Token);
                    await _script(call);
                    if (call.IsCut)
                    {
                        return;
                    }
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or SocketException)
            {
                // The other side hung up, or the test is over.
            }
        }
    }

    /// <summary>One request and its connection.</summary>
    internal sealed class Call(TcpClient client, string head, CancellationToken stopping)
    {
        public bool IsCut { get; private set; }

        public CancellationToken Stopping => stopping;

        public bool IsHead => head.StartsWith("HEAD ", StringComparison.Ordinal);

        /// <summary>Whether the request has this header.</summary>
        public bool Has(string header) => head.Contains($"\n{header}: ", StringComparison.OrdinalIgnoreCase);

        /// <summary>Says how far it has come with content, from which node that comes, and how fast anything has come to it from others and from upstream.</summary>
        public Task TellProgressAsync(long bytes, string? source = null, long? fastest = null, long? upstream = null) => SendRawAsync(
            $"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{SpegelHeaders.Progress}: {bytes}\r\n{Line(SpegelHeaders.Source, source)}{Line(SpegelHeaders.Fastest, fastest)}{Line(SpegelHeaders.Upstream, upstream)}\r\n");

        /// <summary>First and last byte of the request's range; null without one.</summary>
        public (long First, long? Last)? Range
        {
            get
            {
                var line = head.Split('\n').FirstOrDefault(line => line.StartsWith("Range: bytes=", StringComparison.OrdinalIgnoreCase));
                var parts = line?.Trim()["Range: bytes=".Length..].Split('-');
                return parts is null
                    ? null
                    : (long.Parse(parts[0], CultureInfo.InvariantCulture), parts[1].Length == 0 ? null : long.Parse(parts[1], CultureInfo.InvariantCulture));
            }
        }

        /// <summary>Sends status and headers, and as much of the body as <paramref name="upTo"/> says.</summary>
        public async Task SendAsync(byte[] content, int? upTo = null)
        {
            var (first, last) = Range is { } range ? (range.First, Math.Min(range.Last ?? long.MaxValue, content.Length - 1)) : (0, content.Length - 1L);
            var length = last - first + 1;
            await SendRawAsync(Range is null
                ? $"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
                : $"HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\nContent-Range: bytes {first}-{last}/{content.Length}\r\n\r\n");
            if (!IsHead)
            {
                await client.GetStream().WriteAsync(content.AsMemory((int)first, (int)Math.Min(length, upTo ?? length)), stopping);
            }
        }

        private static string Line(string header, object? value) => value is null ? "" : string.Create(CultureInfo.InvariantCulture, $"{header}: {value}\r\n");

        /// <summary>Sends the next bytes of a body.</summary>
        public async Task SendMoreAsync(ReadOnlyMemory<byte> bytes) => await client.GetStream().WriteAsync(bytes, stopping);

        public async Task SendRawAsync(string text) => await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes(text), stopping);

        /// <summary>Resets the connection, as the kernel does for a process that was killed with data unread or unsent.</summary>
        public void Cut()
        {
            IsCut = true;
            client.Client.LingerState = new LingerOption(true, 0);
            client.Close();
        }

        /// <summary>Says nothing more until the test is over.</summary>
        public Task StallAsync() => Task.Delay(Timeout.InfiniteTimeSpan, stopping);
    }
}
