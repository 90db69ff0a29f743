using System.Text.Json;
using System.Threading.Channels;
using StackExchange.Redis;

namespace SpegelDapr.LocalDapr.Components.Redis;

/// <summary>
/// Reads a stream as a member of a consumer group: new messages by a blocking XREADGROUP on a connection of its own, and failed ones by
/// XAUTOCLAIM.
/// </summary>
internal sealed partial class RedisStreamReader : IAsyncDisposable
{
    private static readonly TimeSpan LongestRead = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan WaitAfterError = TimeSpan.FromMilliseconds(250);

    private readonly ConnectionMultiplexer _reading;
    private readonly ConnectionMultiplexer _shared;
    private readonly RedisKey _stream;
    private readonly string _group;
    private readonly int _depth;
    private readonly TimeSpan _processingTimeout;
    private readonly TimeSpan _redeliverInterval;
    private readonly MessageHandler _handler;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Channel<StreamEntry> _queue;
    private readonly List<Task> _loops = [];

    private RedisStreamReader(
        ConnectionMultiplexer reading, ConnectionMultiplexer shared, ComponentSettings settings, string topic, MessageHandler handler, TimeProvider time, ILogger logger)
    {
        (_reading, _shared, _stream, _group, _handler, _time, _logger) = (reading, shared, topic, settings.ConsumerId, handler, time, logger);
        _depth = settings.Number("queueDepth", 100);
        _processingTimeout = settings.Duration("processingTimeout", TimeSpan.FromSeconds(15));
        _redeliverInterval = settings.Duration("redeliverInterval", TimeSpan.FromSeconds(60));
        _queue = Channel.CreateBounded<StreamEntry>(_depth);
    }

    /// <summary>Joins the group, which starts at the beginning of the stream where it is new, and reads until disposed.</summary>
    public static async Task<RedisStreamReader> StartAsync(
        ConnectionMultiplexer shared, ComponentSettings settings, string topic, MessageHandler handler, TimeProvider time, ILogger<RedisStreamReader> logger)
    {
        var reading = await RedisConnection.OpenBlockingAsync(settings, LongestRead);
        var reader = new RedisStreamReader(reading, shared, settings, topic, handler, time, logger);
        try
        {
            await reader.CreateGroupAsync();
        }
        catch
        {
            await reading.DisposeAsync();
            throw;
        }

        reader._loops.Add(Task.Run(() => reader.RepeatAsync(reader.ReadAsync)));
        if (reader._processingTimeout > TimeSpan.Zero && reader._redeliverInterval > TimeSpan.Zero)
        {
            reader._loops.Add(Task.Run(() => reader.RepeatAsync(reader.ReclaimAsync)));
        }

        reader._loops.AddRange(Enumerable.Range(0, settings.Number("concurrency", 10)).Select(_ => Task.Run(reader.WorkAsync)));
        return reader;
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await Task.WhenAll(_loops);
        await _reading.CloseAsync(allowCommandsToComplete: false);
        _stopping.Dispose();
    }

    private async Task RepeatAsync(Func<Task> step)
    {
        while (!_stopping.IsCancellationRequested)
        {
            try
            {
                await step();
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                return;
            }
            catch (RedisServerException e) when (e.Message.StartsWith("NOGROUP", StringComparison.Ordinal))
            {
                Log.GroupLost(_logger, _group, _stream);
                await AfterErrorAsync(CreateGroupAsync);
            }
            catch (Exception e)
            {
                // Whatever it is, reading goes on: a subscription that ends in silence is worse than one that complains.
                Log.ReadFailed(_logger, _stream, e.Message);
                await AfterErrorAsync(() => Task.CompletedTask);
            }
        }
    }

    private async Task AfterErrorAsync(Func<Task> repair)
    {
        try
        {
            await Task.Delay(WaitAfterError, _time, _stopping.Token);
            await repair();
        }
        catch (Exception e) when (e is RedisException or TimeoutException or OperationCanceledException)
        {
            // The next round of the loop finds and reports what is still wrong, or ends.
        }
    }

    private async Task CreateGroupAsync()
    {
        try
        {
            await _shared.GetDatabase().StreamCreateConsumerGroupAsync(_stream, _group, StreamPosition.Beginning, createStream: true);
        }
        catch (RedisServerException e) when (e.Message.StartsWith("BUSYGROUP", StringComparison.Ordinal))
        {
            // It is there already.
        }
    }

    private async Task ReadAsync()
    {
        var block = (long)LongestRead.TotalMilliseconds;
        var answer = await _reading.GetDatabase()
            .ExecuteAsync("XREADGROUP", "GROUP", _group, _group, "COUNT", _depth, "BLOCK", block, "STREAMS", _stream, ">")
            .WaitAsync(_stopping.Token);
        if (answer.IsNull)
        {
            return;
        }

        foreach (var entry in Entries(answer))
        {
            await _queue.Writer.WriteAsync(entry, _stopping.Token);
        }
    }

    // RESP2: [[stream, [[id, [field, value, …]], …]]]; one stream was asked for.
    private static IEnumerable<StreamEntry> Entries(RedisResult answer)
    {
        foreach (var entry in (RedisResult[])answer[0][1]!)
        {
            var values = (RedisValue[])entry[1]!;
            yield return new StreamEntry(
                (RedisValue)entry[0], [.. Enumerable.Range(0, values.Length / 2).Select(i => new NameValueEntry(values[2 * i], values[(2 * i) + 1]))]);
        }
    }

    private async Task ReclaimAsync()
    {
        RedisValue next = "0-0";
        do
        {
            var claimed = await _shared.GetDatabase()
                .StreamAutoClaimAsync(_stream, _group, _group, (long)_processingTimeout.TotalMilliseconds, next, _depth)
                .WaitAsync(_stopping.Token);
            foreach (var entry in claimed.ClaimedEntries)
            {
                await _queue.Writer.WriteAsync(entry, _stopping.Token);
            }

            next = claimed.NextStartId;
        }
        while (next != "0-0");

        await Task.Delay(_redeliverInterval, _time, _stopping.Token);
    }

    private async Task WorkAsync()
    {
        try
        {
            await foreach (var entry in _queue.Reader.ReadAllAsync(_stopping.Token))
            {
                if (await _handler(ToMessage(entry), _stopping.Token))
                {
                    await AcknowledgeAsync(entry);
                }
            }
        }
        catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
        {
            // The reader stops; what it had in hand stays pending in Redis.
        }
    }

    private async Task AcknowledgeAsync(StreamEntry entry)
    {
        try
        {
            await _shared.GetDatabase().StreamAcknowledgeAsync(_stream, _group, entry.Id);
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            Log.AcknowledgeFailed(_logger, entry.Id, _stream, e.Message);
        }
    }

    private PubSubMessage ToMessage(StreamEntry entry)
    {
        var metadata = new Dictionary<string, string>();
        if (!entry["metadata"].IsNull)
        {
            try
            {
                metadata = JsonSerializer.Deserialize<Dictionary<string, string>>(entry["metadata"].ToString()) ?? metadata;
            }
            catch (JsonException e)
            {
                Log.MetadataMalformed(_logger, entry.Id, _stream, e.Message);
            }
        }

        return new PubSubMessage((byte[]?)entry["data"] ?? [], metadata);
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "The consumer group {Group} of stream {Stream} is gone, as after a loss of Redis's data; creating it again.")]
        public static partial void GroupLost(ILogger logger, string group, RedisKey stream);

        [LoggerMessage(Level = LogLevel.Warning, Message = "Reading the stream {Stream} failed; trying again: {Reason}")]
        public static partial void ReadFailed(ILogger logger, RedisKey stream, string reason);

        [LoggerMessage(Level = LogLevel.Warning, Message = "Message {Id} of stream {Stream} could not be acknowledged and will be delivered again: {Reason}")]
        public static partial void AcknowledgeFailed(ILogger logger, RedisValue id, RedisKey stream, string reason);

        [LoggerMessage(Level = LogLevel.Warning, Message = "Message {Id} of stream {Stream} has metadata that is not JSON; delivered without: {Reason}")]
        public static partial void MetadataMalformed(ILogger logger, RedisValue id, RedisKey stream, string reason);
    }
}
