using SpegelDapr.Cli.Components;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A backend set of the project's components, and the servers that it needs.</summary>
/// <param name="directory">The test's directory.</param>
/// <param name="on">Where the servers run.</param>
/// <param name="set">The folder of the set; null takes the one that SPEGEL_DAPR_BACKEND names.</param>
internal sealed class Backend(TestDirectory directory, Machine? on = null, string? set = null) : IAsyncDisposable
{
    public const string InMemory = "in-memory";
    public const string RabbitMq = "rabbitmq";
    public const string Redis = "redis";

    private readonly string _set = set ?? Chosen;
    private readonly Machine _machine = on ?? Machine.Local;
    private readonly RedisServer _redis = new(directory, on);
    private readonly RabbitMqServer? _rabbitMq = (set ?? Chosen) == RabbitMq ? new RabbitMqServer(directory, on) : null;

    /// <summary>The set that tests run on which do not name one.</summary>
    public static string Chosen { get; } = Environment.GetEnvironmentVariable("SPEGEL_DAPR_BACKEND") switch
    {
        null or "" => Redis,
        (InMemory or RabbitMq or Redis) and var name => name,
        var other => throw new InvalidOperationException($"SPEGEL_DAPR_BACKEND is '{other}': give {InMemory}, {RabbitMq} or {Redis}."),
    };

    /// <summary>The programs that the chosen set needs.</summary>
    public static IReadOnlyList<string> Programs => Chosen == RabbitMq ? ["redis-server", "rabbitmq-server", "epmd"] : ["redis-server"];

    /// <summary>The resources of the set that needs no server, for apps whose sidecars are in one process.</summary>
    public static IReadOnlyList<string> InMemoryResources { get; } = [Checkout.Path("components/in-memory"), Checkout.Path("components/common")];

    /// <summary>Where the Redis server answers, as host:port.</summary>
    public string RedisAddress => $"{_machine.Address}:{_redis.Port}";

    public Task StartAsync() => Task.WhenAll(_redis.StartAsync(), _rabbitMq?.StartAsync() ?? Task.CompletedTask);

    /// <summary>Has the message broker die. On Redis the state goes with it.</summary>
    public Task StopBrokerAsync() => _rabbitMq?.StopAsync() ?? _redis.StopAsync();

    /// <summary>Starts the broker again.</summary>
    public Task StartBrokerAsync() => _rabbitMq?.StartAsync() ?? _redis.StartAsync();

    /// <summary>Writes the set's resources with the servers' addresses, and returns their directory.</summary>
    /// <param name="zones">The zones that alone may use them; null lets anybody.</param>
    public string WriteResources(IReadOnlyList<ScopedZone>? zones = null)
    {
        var resources = directory.Sub("components");
        foreach (var file in new[] { _set, "common" }.SelectMany(folder => Directory.EnumerateFiles(Checkout.Path($"components/{folder}"), "*.yaml")))
        {
            var written = Path.Combine(resources, Path.GetFileName(file));
            File.WriteAllText(written, File.ReadAllText(file)
                .Replace("localhost:6379", $"\"{_machine.Address}:{_redis.Port}\"", StringComparison.Ordinal)
                .Replace("localhost:5672", $"{_machine.Address}:{_rabbitMq?.Port}", StringComparison.Ordinal));
            if (zones is not null)
            {
                File.WriteAllText(written, string.Join("---\n", new ScopedResources(zones).Read(written)));
            }
        }

        return resources;
    }

    public async ValueTask DisposeAsync()
    {
        await _redis.DisposeAsync();
        if (_rabbitMq is not null)
        {
            await _rabbitMq.DisposeAsync();
        }
    }
}
