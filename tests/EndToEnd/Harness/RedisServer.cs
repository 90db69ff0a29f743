using System.Globalization;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A Redis server without persistence.</summary>
internal sealed class RedisServer(TestDirectory directory, Machine? on = null) : IAsyncDisposable
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
            ["--port", Port.ToString(CultureInfo.InvariantCulture), "--bind", _machine.Ip.ToString(), "--protected-mode", "no", "--save", "", "--appendonly", "no"],
            on: _machine);
        await _machine.ListensAsync("Redis", Port);
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
