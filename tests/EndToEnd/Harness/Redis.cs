using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A Redis server without persistence.</summary>
internal sealed class Redis(TestDirectory directory, Machine? on = null) : IAsyncDisposable
{
    private readonly Machine _machine = on ?? Machine.Local;
    private ExternalProcess? _server;

    public int Port { get; } = (on ?? Machine.Local).NextPort();

    public async Task StartAsync()
    {
        _server = ExternalProcess.Start(
            "redis",
            directory.Sub("redis"),
            "redis-server",
            ["--port", Port.ToString(CultureInfo.InvariantCulture), "--bind", _machine.Address, "--protected-mode", "no", "--save", "", "--appendonly", "no"],
            on: _machine);
        await Eventually.HoldsAsync("Redis listens", async () =>
        {
            try
            {
                using var socket = await _machine.ConnectAsync(IPEndPoint.Parse($"{_machine.Address}:{Port}"));
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        });
    }

    /// <summary>Writes the project's own Redis components with this server's address, and returns their directory.</summary>
    /// <param name="scopes">By component, what to add to its metadata.</param>
    public string WriteComponents(IReadOnlyDictionary<string, string>? scopes = null)
    {
        var components = directory.Sub("components");
        foreach (var file in Directory.EnumerateFiles(Repository.Path("components/redis"), "*.yaml"))
        {
            var text = File.ReadAllText(file).Replace("localhost:6379", $"{_machine.Address}:{Port}", StringComparison.Ordinal);
            File.WriteAllText(Path.Combine(components, Path.GetFileName(file)), text + scopes?.GetValueOrDefault(Path.GetFileNameWithoutExtension(file)));
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
