using System.Globalization;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A RabbitMQ server that keeps its data while it is stopped.</summary>
internal sealed class RabbitMqServer(TestDirectory directory, Machine? on = null) : IAsyncDisposable
{
    private readonly Machine _machine = on ?? Machine.Local;
    private readonly int _distributionPort = (on ?? Machine.Local).NextPort();
    private readonly int _epmdPort = (on ?? Machine.Local).NextPort();
    private ExternalProcess? _server;

    public int Port { get; } = (on ?? Machine.Local).NextPort();

    public async Task StartAsync()
    {
        _server = ExternalProcess.Start(
            "rabbitmq",
            directory.Sub("rabbitmq"),
            Checkout.Path("tests/rabbitmq/rabbitmq.sh"),
            [
                directory.Sub("rabbitmq/data"), _machine.Address,
                .. new[] { Port, _distributionPort, _epmdPort }.Select(port => port.ToString(CultureInfo.InvariantCulture)),
            ],
            on: _machine);
        await _machine.ListensAsync("RabbitMQ", Port);
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
