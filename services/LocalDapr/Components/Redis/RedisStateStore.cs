using System.Globalization;
using StackExchange.Redis;

namespace SpegelDapr.LocalDapr.Components.Redis;

/// <summary>
/// A state store in Redis, in the layout of components-contrib's <c>state/redis</c>: a hash per key with the fields <c>data</c> and
/// <c>version</c>, and <c>first-write</c> once a request has asked for that. What is peculiar about it there is kept: a key that once had a
/// first-write refuses every write without its version, as an error that is no conflict; a transaction is not rolled back.
/// </summary>
internal sealed class RedisStateStore : IStateStore
{
    // KEYS[1]: the key. ARGV: expected version or 0, value, "0" to mark the key as first-write.
    private const string SetScript = """
        local version = redis.call('HGET', KEYS[1], 'version')
        local marked = redis.call('HGET', KEYS[1], 'first-write')
        local free = not version or version == ''
        if not free and version ~= ARGV[1] and (marked or ARGV[1] ~= '0') then
          return redis.error_reply('VERSION does not match for key ' .. KEYS[1])
        end
        redis.call('HSET', KEYS[1], 'data', ARGV[2])
        if ARGV[3] == '0' then
          redis.call('HSET', KEYS[1], 'first-write', 0)
        end
        return redis.call('HINCRBY', KEYS[1], 'version', 1)
        """;

    // KEYS[1]: the key. ARGV: expected version or 0 for any.
    private const string DeleteScript = """
        local version = redis.call('HGET', KEYS[1], 'version')
        if version and version ~= '' and version ~= ARGV[1] and ARGV[1] ~= '0' then
          return redis.error_reply('VERSION does not match for key ' .. KEYS[1])
        end
        return redis.call('DEL', KEYS[1])
        """;

    private static readonly RedisValue[] Fields = ["data", "version"];

    private readonly ConnectionMultiplexer _connection;
    private readonly int? _defaultTtl;

    private RedisStateStore(ConnectionMultiplexer connection, int? defaultTtl) => (_connection, _defaultTtl) = (connection, defaultTtl);

    public IReadOnlyList<string> Capabilities { get; } = ["ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE", "ACTOR"];

    public static async Task<RedisStateStore> ConnectAsync(ComponentSettings settings, CancellationToken cancellation) => new(
        await RedisConnection.OpenAsync(settings, cancellation),
        settings.Text("ttlInSeconds").Length > 0 ? settings.Number("ttlInSeconds", 0) : null);

    public async Task<StateEntry?> GetAsync(string key, CancellationToken cancellation)
    {
        var values = await _connection.GetDatabase().HashGetAsync(key, Fields).WaitAsync(cancellation);
        return values[0].IsNull || values[1].IsNull ? null : new StateEntry((byte[])values[0]!, values[1].ToString(), new Dictionary<string, string>());
    }

    public async Task ChangeAsync(StateChange change, CancellationToken cancellation)
    {
        var version = ExpectedVersion(change);
        try
        {
            await Task.WhenAll(Send(_connection.GetDatabase(), change, version, marks: true)).WaitAsync(cancellation);
        }
        catch (RedisServerException e) when (change.HasETag)
        {
            throw new ETagException(e.Message);
        }
    }

    public async Task TransactAsync(IReadOnlyList<StateChange> changes, CancellationToken cancellation)
    {
        var transaction = _connection.GetDatabase().CreateTransaction();
        var results = changes.SelectMany(change => Send(transaction, change, ExpectedVersion(change), marks: false)).ToList();
        await transaction.ExecuteAsync().WaitAsync(cancellation);
        await Task.WhenAll(results);
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    private static RedisValue ExpectedVersion(StateChange change)
    {
        if (change.Value is null)
        {
            return change.HasETag ? change.ETag : 0;
        }

        if (!change.HasETag || change.Concurrency == StateChange.LastWrite)
        {
            return 0;
        }

        return long.TryParse(change.ETag, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var version)
            ? version
            : throw new ETagException($"'{change.ETag}' is not a version of Redis, which are whole numbers", malformed: true);
    }

    private IEnumerable<Task> Send(IDatabaseAsync database, StateChange change, RedisValue version, bool marks)
    {
        if (change.Value is null)
        {
            return [database.ScriptEvaluateAsync(DeleteScript, [change.Key], [version], CommandFlags.NoScriptCache)];
        }

        var mark = marks && change.Concurrency == StateChange.FirstWrite ? 0 : 1;
        var set = database.ScriptEvaluateAsync(SetScript, [change.Key], [version, change.Value, mark], CommandFlags.NoScriptCache);
        return (change.TtlInSeconds ?? _defaultTtl) switch
        {
            null => [set],
            > 0 and { } ttl => [set, database.KeyExpireAsync(change.Key, TimeSpan.FromSeconds(ttl))],
            _ => [set, database.KeyPersistAsync(change.Key)],
        };
    }
}
