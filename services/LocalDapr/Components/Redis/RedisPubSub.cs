using System.Text.Json;
using StackExchange.Redis;

namespace SpegelDapr.LocalDapr.Components.Redis;

/// <summary>
/// Pub/sub on Redis streams, in the layout of components-contrib's <c>pubsub/redis</c>: a stream per topic with the fields <c>data</c> and
/// <c>metadata</c>, a consumer group per <c>consumerID</c>. A message whose handler fails stays pending and is claimed again once it has been
/// idle for <c>processingTimeout</c>, which is looked at every <c>redeliverInterval</c>.
/// </summary>
internal sealed class RedisPubSub : IPubSub
{
    private readonly ConnectionMultiplexer _connection;
    private readonly ComponentSettings _settings;
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _loggers;
    private readonly int? _longestStream;

    private RedisPubSub(ConnectionMultiplexer connection, ComponentSettings settings, TimeProvider time, ILoggerFactory loggers)
    {
        (_connection, _settings, _time, _loggers) = (connection, settings, time, loggers);
        _longestStream = settings.Number("maxLenApprox", 0) is > 0 and var length ? length : null;
    }

    public IReadOnlyList<string> Capabilities { get; } = [];

    public static async Task<RedisPubSub> ConnectAsync(
        ComponentSettings settings, TimeProvider time, ILoggerFactory loggers, CancellationToken cancellation) =>
        new(await RedisConnection.OpenAsync(settings, cancellation), settings, time, loggers);

    public async Task PublishAsync(string topic, PubSubMessage message, CancellationToken cancellation)
    {
        NameValueEntry[] fields =
        [
            new("data", message.Data),
            new("metadata", JsonSerializer.SerializeToUtf8Bytes(message.Metadata)),
        ];
        await _connection.GetDatabase()
            .StreamAddAsync(topic, fields, maxLength: _longestStream, useApproximateMaxLength: _longestStream is not null)
            .WaitAsync(cancellation);
    }

    public async Task<IAsyncDisposable> SubscribeAsync(string topic, MessageHandler handler, CancellationToken cancellation) =>
        await RedisStreamReader.StartAsync(_connection, _settings, topic, handler, _time, _loggers.CreateLogger<RedisStreamReader>());

    public ValueTask DisposeAsync() => _connection.DisposeAsync();
}
