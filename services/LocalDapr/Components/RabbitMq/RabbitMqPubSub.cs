using System.Globalization;
using RabbitMQ.Client;

namespace SpegelDapr.LocalDapr.Components.RabbitMq;

/// <summary>
/// Pub/sub on RabbitMQ, in the layout of components-contrib's <c>pubsub/rabbitmq</c>: an exchange per topic, and a queue per topic and
/// <c>consumerID</c>. While the broker is gone requests fail at once, and subscriptions come back after it. Where contrib logs that a publication was
/// not confirmed, here the request fails.
/// </summary>
internal sealed class RabbitMqPubSub : IPubSub
{
    private static readonly TimeSpan PublishBudget = TimeSpan.FromSeconds(5);

    private readonly RabbitMqConnection _connection;
    private readonly RabbitMqSettings _settings;
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _loggers;
    private readonly SemaphoreSlim _publishing = new(1);
    private readonly HashSet<string> _declared = [];
    private IChannel? _channel;

    private RabbitMqPubSub(RabbitMqConnection connection, RabbitMqSettings settings, TimeProvider time, ILoggerFactory loggers) =>
        (_connection, _settings, _time, _loggers) = (connection, settings, time, loggers);

    public IReadOnlyList<string> Capabilities { get; } = ["MESSAGE_TTL"];

    public static async Task<RabbitMqPubSub> ConnectAsync(
        ComponentSettings component, TimeProvider time, ILoggerFactory loggers, CancellationToken cancellation)
    {
        var settings = new RabbitMqSettings(component);
        return new RabbitMqPubSub(await RabbitMqConnection.OpenAsync(settings, cancellation), settings, time, loggers);
    }

    public async Task PublishAsync(string topic, PubSubMessage message, CancellationToken cancellation)
    {
        var properties = new BasicProperties
        {
            ContentType = "text/plain",
            DeliveryMode = _settings.IsPersistent ? DeliveryModes.Persistent : DeliveryModes.Transient,
            Expiration = Ttl(message)?.TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture),
        };
        await _publishing.WaitAsync(cancellation);
        try
        {
            using var budget = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            budget.CancelAfter(PublishBudget);
            var channel = await ChannelForAsync(topic, budget.Token);
            await channel.BasicPublishAsync(topic, routingKey: "", mandatory: false, properties, message.Data, budget.Token);
        }
        catch (Exception e) when (!cancellation.IsCancellationRequested)
        {
            await CloseChannelAsync();
            throw new BackendException($"RabbitMQ at {_settings.Endpoint} does not take the message: {e.Message}", e);
        }
        finally
        {
            _publishing.Release();
        }
    }

    public async Task<IAsyncDisposable> SubscribeAsync(string topic, MessageHandler handler, CancellationToken cancellation) =>
        await RabbitMqSubscription.StartAsync(
            _connection, _settings, topic, handler, _time, _loggers.CreateLogger<RabbitMqSubscription>(), cancellation);

    public async ValueTask DisposeAsync()
    {
        await CloseChannelAsync();
        await _connection.DisposeAsync();
        _publishing.Dispose();
    }

    private async Task<IChannel> ChannelForAsync(string topic, CancellationToken cancellation)
    {
        if (_channel is not { IsOpen: true })
        {
            await CloseChannelAsync();
            _channel = await _connection.CreateChannelAsync(cancellation);
        }

        if (!_declared.Contains(topic))
        {
            await RabbitMqTopology.DeclareExchangeAsync(_channel, _settings, topic, cancellation);
            _declared.Add(topic);
        }

        return _channel;
    }

    private async Task CloseChannelAsync()
    {
        _declared.Clear();
        if (_channel is { } channel)
        {
            _channel = null;
            await channel.DisposeAsync();
        }
    }

    private TimeSpan? Ttl(PubSubMessage message) =>
        message.Metadata.TryGetValue("ttlInSeconds", out var text) && long.TryParse(text, CultureInfo.InvariantCulture, out var seconds) && seconds > 0
            ? TimeSpan.FromSeconds(seconds)
            : _settings.MessageTtl;
}
