using System.Globalization;
using System.Net.Sockets;
using SpegelDapr.LocalDapr;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A Redis server without persistence.</summary>
internal sealed class Redis(TestDirectory directory) : IAsyncDisposable
{
    private ExternalProcess? _server;

    public int Port { get; } = FreePorts.Next();

    public async Task StartAsync()
    {
        _server = ExternalProcess.Start(
            "redis",
            directory.Sub("redis"),
            "redis-server",
            ["--port", Port.ToString(CultureInfo.InvariantCulture), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        await Eventually.HoldsAsync("Redis listens", () =>
        {
            try
            {
                using var client = new TcpClient("127.0.0.1", Port);
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        });
    }

    /// <summary>Writes the project's own Redis components with this server's port, and returns their directory.</summary>
    public string WriteComponents()
    {
        var components = directory.Sub("components");
        foreach (var file in Directory.EnumerateFiles(Repository.Path("components/redis"), "*.yaml"))
        {
            var text = File.ReadAllText(file).Replace("localhost:6379", $"127.0.0.1:{Port}", StringComparison.Ordinal);
            File.WriteAllText(Path.Combine(components, Path.GetFileName(file)), text);
        }

        return components;
    }

    public Task StopAsync() => _server!.KillAsync();

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
        {
            await _server.DisposeAsync();
        }
    }
}
