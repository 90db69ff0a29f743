using System.Collections.Concurrent;
using RabbitMQ.Client;
using RabbitMQ.Client.Events;

namespace SpegelDapr.LocalDapr.Components.RabbitMq;

/// <summary>
/// Hands a queue's messages to a handler, and comes back after a loss of the connection. What is in hand when it ends stays unacknowledged, so the
/// broker delivers it to another member of the group, or to this one after its restart.
/// </summary>
internal sealed partial class RabbitMqSubscription : IAsyncDisposable
{
    private static readonly Dictionary<string, string> NoMetadata = [];

    private readonly RabbitMqConnection _connection;
    private readonly RabbitMqSettings _settings;
    private readonly string _topic;
    private readonly MessageHandler _handler;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stopping = new();
    private readonly ConcurrentDictionary<Task, bool> _inHand = new();
    private Task _running = Task.CompletedTask;

    private RabbitMqSubscription(
        RabbitMqConnection connection, RabbitMqSettings settings, string topic, MessageHandler handler, TimeProvider time, ILogger logger) =>
        (_connection, _settings, _topic, _handler, _time, _logger) = (connection, settings, topic, handler, time, logger);

    /// <summary>Declares the queue and consumes it until disposed.</summary>
    public static async Task<RabbitMqSubscription> StartAsync(
        RabbitMqConnection connection,
        RabbitMqSettings settings,
        string topic,
        MessageHandler handler,
        TimeProvider time,
        ILogger<RabbitMqSubscription> logger,
        CancellationToken cancellation)
    {
        var subscription = new RabbitMqSubscription(connection, settings, topic, handler, time, logger);
        try
        {
            var first = await subscription.ConsumeAsync(cancellation);
            subscription._running = Task.Run(() => subscription.RunAsync(first), CancellationToken.None);
            return subscription;
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            throw new BackendException($"RabbitMQ at {settings.Endpoint} does not subscribe to {topic}: {e.Message}", e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _running;
        _stopping.Dispose();
    }

    private async Task RunAsync(Consumption current)
    {
        while (true)
        {
            await current.Ended.WaitAsync(_stopping.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (_stopping.IsCancellationRequested)
            {
                await Task.WhenAll(_inHand.Keys);
                await current.Channel.DisposeAsync();
                return;
            }

            Log.Lost(_logger, _topic, _settings.ReconnectWait.TotalSeconds);
            await current.Channel.DisposeAsync();
            if (await ReturnAsync() is not { } next)
            {
                return;
            }

            current = next;
        }
    }

    private async Task<Consumption?> ReturnAsync()
    {
        while (true)
        {
            try
            {
                await Task.Delay(_settings.ReconnectWait, _time, _stopping.Token);
                var consumption = await ConsumeAsync(_stopping.Token);
                Log.Returned(_logger, _topic);
                return consumption;
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                return null;
            }
            catch (Exception e)
            {
                // Whatever it is, the subscription goes on trying: one that ends in silence is worse than one that complains.
                Log.StillLost(_logger, _topic, e.Message);
            }
        }
    }

    private async Task<Consumption> ConsumeAsync(CancellationToken cancellation)
    {
        var channel = await _connection.CreateChannelAsync(cancellation);
        try
        {
            var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            channel.ChannelShutdownAsync += (_, _) =>
            {
                ended.TrySetResult();
                return Task.CompletedTask;
            };
            var queue = await RabbitMqTopology.DeclareQueueAsync(channel, _settings, _topic, cancellation);
            if (_settings.Prefetch > 0)
            {
                await channel.BasicQosAsync(0, _settings.Prefetch, global: false, cancellation);
            }

            var consumer = new AsyncEventingBasicConsumer(channel);
            consumer.ReceivedAsync += (_, delivery) => ReceiveAsync(channel, delivery);

            // The broker cancels a consumer whose queue is deleted.
            consumer.UnregisteredAsync += (_, _) =>
            {
                ended.TrySetResult();
                return Task.CompletedTask;
            };
            await channel.BasicConsumeAsync(queue, _settings.AcknowledgesItself, consumer, cancellation);
            return new Consumption(channel, ended.Task);
        }
        catch
        {
            await channel.DisposeAsync();
            throw;
        }
    }

    // The delivery's memory is the client's again once this returns.
    private Task ReceiveAsync(IChannel channel, BasicDeliverEventArgs delivery)
    {
        var handling = HandleAsync(channel, delivery.DeliveryTag, delivery.Body.ToArray());
        if (!_settings.IsParallel)
        {
            return handling;
        }

        _inHand[handling] = true;
        _ = handling.ContinueWith(
            done => _inHand.TryRemove(done, out _), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        return Task.CompletedTask;
    }

    private async Task HandleAsync(IChannel channel, ulong tag, byte[] data)
    {
        await Task.Yield();
        try
        {
            var done = await _handler(new PubSubMessage(data, NoMetadata), _stopping.Token);
            if (_settings.AcknowledgesItself)
            {
                return;
            }

            if (done)
            {
                await channel.BasicAckAsync(tag, multiple: false, _stopping.Token);
            }
            else
            {
                await channel.BasicNackAsync(tag, multiple: false, _settings.RequeuesFailures, _stopping.Token);
            }
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            // The subscription ends.
        }
        catch (Exception e)
        {
            // The channel is gone, and with it the message: the broker delivers it again.
            Log.NotAcknowledged(_logger, _topic, e.Message);
        }
    }

    /// <summary>A channel that consumes, and when it no longer does.</summary>
    private sealed record Consumption(IChannel Channel, Task Ended);

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "The subscription to {Topic} has lost RabbitMQ; connecting again in {Seconds} s.")]
        public static partial void Lost(ILogger logger, string topic, double seconds);

        [LoggerMessage(Level = LogLevel.Warning, Message = "The subscription to {Topic} is still without RabbitMQ; trying again: {Reason}")]
        public static partial void StillLost(ILogger logger, string topic, string reason);

        [LoggerMessage(Level = LogLevel.Information, Message = "The subscription to {Topic} is back.")]
        public static partial void Returned(ILogger logger, string topic);

        [LoggerMessage(Level = LogLevel.Warning, Message = "A message of {Topic} could not be acknowledged and will be delivered again: {Reason}")]
        public static partial void NotAcknowledged(ILogger logger, string topic, string reason);
    }
}
