using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;

namespace SpegelDapr.LocalDapr.Tests.Support;

/// <summary>A RabbitMQ on free ports, which can be stopped and started again. It ends with this process at the latest.</summary>
internal sealed class RabbitMqServer(string directory, int virtualHosts = 0) : IAsyncDisposable
{
    private const int MostVirtualHosts = 40;

    // Erlang takes longer to start than the other backends.
    private static readonly TimeSpan StartBudget = TimeSpan.FromMinutes(2);

    private static readonly Lazy<Task<RabbitMqServer>> Shared = new(async () =>
    {
        var server = new RabbitMqServer("-", MostVirtualHosts);
        await server.StartAsync();
        return server;
    });

    private static int _lastVirtualHost;

    private readonly int _distributionPort = FreePorts.Next();
    private readonly int _epmdPort = FreePorts.Next();
    private Process? _process;

    public static bool IsInstalled { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Append("/usr/sbin")
        .Any(path => File.Exists(Path.Combine(path, "rabbitmq-server")));

    public int Port { get; } = FreePorts.Next();

    /// <summary>A virtual host that no other test has, on a server that all share: to start one takes seconds.</summary>
    public static async Task<Uri> NextVirtualHostAsync()
    {
        var server = await Shared.Value;
        var number = Interlocked.Increment(ref _lastVirtualHost);
        return number <= MostVirtualHosts
            ? new Uri($"amqp://guest:guest@127.0.0.1:{server.Port}/v{number}")
            : throw new InvalidOperationException($"There are only {MostVirtualHosts} virtual hosts: raise their number.");
    }

    public async Task StartAsync()
    {
        var start = new ProcessStartInfo(
            Checkout.Path("tests/rabbitmq/rabbitmq.sh"),
            [directory, "127.0.0.1", .. new[] { Port, _distributionPort, _epmdPort, virtualHosts }.Select(number => number.ToString(CultureInfo.InvariantCulture))])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        _process = Process.Start(start)!;
        _process.BeginOutputReadLine();
        await Eventually.TrueAsync(
            async () =>
            {
                try
                {
                    using var client = new TcpClient();
                    await client.ConnectAsync("127.0.0.1", Port);
                    return true;
                }
                catch (SocketException) when (!_process.HasExited)
                {
                    return false;
                }
            },
            StartBudget);
    }

    public async Task StopAsync()
    {
        if (_process is { } process)
        {
            process.Kill(entireProcessTree: true);
            await process.WaitForExitAsync();
            process.Dispose();
            _process = null;
        }
    }

    public async ValueTask DisposeAsync() => await StopAsync();
}
