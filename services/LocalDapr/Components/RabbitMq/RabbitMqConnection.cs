using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace SpegelDapr.LocalDapr.Components.RabbitMq;

/// <summary>
/// A component's connection. When it is lost the next who needs it makes another; nothing is restored by itself, because queues may have gone with
/// it and must be declared anew.
/// </summary>
internal sealed class RabbitMqConnection : IAsyncDisposable
{
    private static readonly TimeSpan RequestBudget = TimeSpan.FromSeconds(2);

    private readonly RabbitMqSettings _settings;
    private readonly ConnectionFactory _factory;
    private readonly SemaphoreSlim _connecting = new(1);
    private IConnection? _connection;

    private RabbitMqConnection(RabbitMqSettings settings)
    {
        _settings = settings;
        _factory = new ConnectionFactory
        {
            Uri = settings.Server,
            AutomaticRecoveryEnabled = false,
            RequestedConnectionTimeout = RequestBudget,
            ContinuationTimeout = RequestBudget,
            RequestedHeartbeat = settings.Heartbeat,
            ClientProvidedName = settings.ClientName.Length > 0 ? settings.ClientName : null,
        };
    }

    /// <summary>Connects.</summary>
    /// <exception cref="LocalDaprException">RabbitMQ does not answer.</exception>
    public static async Task<RabbitMqConnection> OpenAsync(RabbitMqSettings settings, CancellationToken cancellation)
    {
        var connection = new RabbitMqConnection(settings);
        try
        {
            await connection.GetAsync(cancellation);
            return connection;
        }
        catch (Exception e) when (e is BrokerUnreachableException or OperationInterruptedException)
        {
            await connection.DisposeAsync();
            throw new LocalDaprException(
                $"Component {settings.Component}: no RabbitMQ answers at {settings.Endpoint}, or it refuses the user: start it, or correct connectionString or hostname, username and password.",
                e);
        }
    }

    /// <summary>A channel of one's own.</summary>
    public async Task<IChannel> CreateChannelAsync(CancellationToken cancellation) => await (await GetAsync(cancellation)).CreateChannelAsync(
        new CreateChannelOptions(_settings.WaitsForConfirmation, publisherConfirmationTrackingEnabled: _settings.WaitsForConfirmation), cancellation);

    public async ValueTask DisposeAsync()
    {
        if (_connection is { } connection)
        {
            await connection.DisposeAsync();
        }

        _connecting.Dispose();
    }

    private async Task<IConnection> GetAsync(CancellationToken cancellation)
    {
        await _connecting.WaitAsync(cancellation);
        try
        {
            if (_connection is not { IsOpen: true })
            {
                if (_connection is { } lost)
                {
                    _connection = null;
                    await lost.DisposeAsync();
                }

                _connection = await _factory.CreateConnectionAsync(cancellation);
            }

            return _connection;
        }
        finally
        {
            _connecting.Release();
        }
    }
}
