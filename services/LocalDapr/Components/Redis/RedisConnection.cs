using StackExchange.Redis;

namespace SpegelDapr.LocalDapr.Components.Redis;

/// <summary>Connections to Redis from a component's metadata, which has the names of components-contrib's Redis components.</summary>
internal static class RedisConnection
{
    private static readonly TimeSpan RequestBudget = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan InitBudget = TimeSpan.FromSeconds(5);

    /// <summary>Connects and sees that Redis answers. The connection mends itself; while it is broken requests fail at once.</summary>
    /// <exception cref="LocalDaprException">Redis does not answer.</exception>
    public static async Task<ConnectionMultiplexer> OpenAsync(ComponentSettings settings, CancellationToken cancellation)
    {
        var options = Options(settings, RequestBudget);
        var connection = await ConnectionMultiplexer.ConnectAsync(options);
        try
        {
            await connection.GetDatabase().PingAsync().WaitAsync(InitBudget, cancellation);
            return connection;
        }
        catch (Exception e) when (e is RedisException or TimeoutException)
        {
            await connection.DisposeAsync();
            throw new LocalDaprException(
                $"Component {settings.Component.Name}: no Redis answers at {string.Join(',', options.EndPoints)}: start it, or correct redisHost.", e);
        }
    }

    /// <summary>A connection for commands that block on the server for at most <paramref name="longest"/>, which would hold up others on a shared one.</summary>
    public static Task<ConnectionMultiplexer> OpenBlockingAsync(ComponentSettings settings, TimeSpan longest) =>
        ConnectionMultiplexer.ConnectAsync(Options(settings, longest + RequestBudget));

    private static ConfigurationOptions Options(ComponentSettings settings, TimeSpan budget)
    {
        var host = settings.Text("redisHost");
        if (host.Length == 0)
        {
            throw new LocalDaprException($"Component {settings.Component.Name}: redisHost is missing: give host:port.");
        }

        if (!host.Contains(':', StringComparison.Ordinal))
        {
            host = $"{host}:{settings.Number("redisPort", 6379)}";
        }

        var options = new ConfigurationOptions
        {
            AbortOnConnectFail = false,
            Protocol = RedisProtocol.Resp2,
            BacklogPolicy = BacklogPolicy.FailFast,
            ConnectTimeout = (int)RequestBudget.TotalMilliseconds,
            AsyncTimeout = (int)budget.TotalMilliseconds,
            SyncTimeout = (int)budget.TotalMilliseconds,
            ReconnectRetryPolicy = new LinearRetry(250),
            HeartbeatInterval = TimeSpan.FromMilliseconds(500),
            DefaultDatabase = settings.Number("redisDB", 0),
            User = settings.Text("redisUsername") is { Length: > 0 } user ? user : null,
            Password = settings.Text("redisPassword") is { Length: > 0 } password ? password : null,
            Ssl = settings.Text("enableTLS") == "true",
        };
        options.EndPoints.Add(host);
        return options;
    }
}
