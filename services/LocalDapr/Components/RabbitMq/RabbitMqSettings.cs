using System.Globalization;
using RabbitMQ.Client;

namespace SpegelDapr.LocalDapr.Components.RabbitMq;

/// <summary>A RabbitMQ component's metadata, with the names and defaults of components-contrib's <c>pubsub/rabbitmq</c>.</summary>
internal sealed class RabbitMqSettings
{
    private const byte Persistent = 2;

    private static readonly string[] ExchangeKinds = [RabbitMQ.Client.ExchangeType.Fanout, RabbitMQ.Client.ExchangeType.Topic, RabbitMQ.Client.ExchangeType.Direct, RabbitMQ.Client.ExchangeType.Headers];
    private static readonly string[] Truths = ["y", "yes", "true", "t", "on", "1"];

    private readonly ComponentSettings _settings;

    /// <exception cref="LocalDaprException">A value is not one of those that the component takes.</exception>
    public RabbitMqSettings(ComponentSettings settings)
    {
        _settings = settings;
        Server = ReadServer();
        ExchangeType = settings.Text("exchangeKind", RabbitMQ.Client.ExchangeType.Fanout);
        if (!ExchangeKinds.Contains(ExchangeType))
        {
            throw Wrong("exchangeKind", string.Join(", ", ExchangeKinds));
        }

        var mode = settings.Number("deliveryMode", 0);
        IsPersistent = mode is >= 0 and <= Persistent ? mode == Persistent : throw Wrong("deliveryMode", "0, 1 or 2");
        var prefetch = settings.Number("prefetchCount", 0);
        Prefetch = prefetch is >= 0 and <= byte.MaxValue ? (ushort)prefetch : throw Wrong("prefetchCount", "0 to 255");
        IsParallel = settings.Text("concurrency", "parallel") switch
        {
            "parallel" => true,
            "single" => false,
            _ => throw Wrong("concurrency", "parallel or single"),
        };
    }

    public string Component => _settings.Component.Name;

    /// <summary>The server, with user and password if there are any.</summary>
    public Uri Server { get; }

    /// <summary>Host and port, for messages.</summary>
    public string Endpoint => $"{Server.Host}:{(Server.IsDefaultPort || Server.Port < 0 ? AmqpTcpEndpoint.UseDefaultPort : Server.Port)}";

    public string ExchangeType { get; }

    /// <summary>Whether exchanges and queues outlive the server.</summary>
    public bool IsDurable => Flag("durable", otherwise: true);

    /// <summary>Whether exchanges and queues go with their last user.</summary>
    public bool IsDeletedWhenUnused => Flag("deletedWhenUnused", otherwise: true);

    public bool AcknowledgesItself => Flag("autoAck", otherwise: false);

    /// <summary>Whether a message whose handler fails goes back into its queue, and not to the dead-letter queue or nowhere.</summary>
    public bool RequeuesFailures => Flag("requeueInFailure", otherwise: false);

    public bool HasDeadLetterQueues => Flag("enableDeadLetter", otherwise: false);

    public bool WaitsForConfirmation => Flag("publisherConfirm", otherwise: false);

    public bool IsPersistent { get; }

    /// <summary>The most messages in hand of one subscription; 0 for any number.</summary>
    public ushort Prefetch { get; }

    /// <summary>Whether several messages of a subscription are handled at a time.</summary>
    public bool IsParallel { get; }

    public string ClientName => _settings.Text("clientName");

    public TimeSpan ReconnectWait => _settings.Duration("reconnectWaitSeconds", TimeSpan.FromSeconds(3));

    public TimeSpan Heartbeat => _settings.Duration("heartBeat", TimeSpan.FromSeconds(10));

    /// <summary>When a message expires that does not say so itself; null for never.</summary>
    public TimeSpan? MessageTtl => _settings.Text("ttlInSeconds").Length > 0 ? _settings.Duration("ttlInSeconds", TimeSpan.Zero) : null;

    /// <summary>The queue of a topic's consumer group.</summary>
    public string Queue(string topic) => $"{_settings.ConsumerId}-{topic}";

    /// <summary>What a queue is declared with, besides its flags.</summary>
    public Dictionary<string, object?> QueueArguments()
    {
        var arguments = new Dictionary<string, object?>();
        foreach (var (name, argument) in new[] { ("maxLen", "x-max-length"), ("maxLenBytes", "x-max-length-bytes") })
        {
            if (_settings.Number(name, 0) is > 0 and var length)
            {
                arguments[argument] = (long)length;
            }
        }

        return arguments;
    }

    private Uri ReadServer()
    {
        var text = _settings.Text("connectionString", _settings.Text("host"));
        if (text.Length == 0)
        {
            var user = _settings.Text("username") is { Length: > 0 } name
                ? $"{Uri.EscapeDataString(name)}:{Uri.EscapeDataString(_settings.Text("password"))}@"
                : "";
            text = $"{_settings.Text("protocol", "amqp")}://{user}{_settings.Text("hostname", "localhost")}";
        }

        return Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "amqp" or "amqps"
            ? uri
            : throw new LocalDaprException($"Component {Component}: connectionString or hostname is no address of a RabbitMQ: give amqp://host:port.");
    }

    private bool Flag(string name, bool otherwise) =>
        _settings.Text(name) is { Length: > 0 } text ? Truths.Contains(text.ToLower(CultureInfo.InvariantCulture)) : otherwise;

    private LocalDaprException Wrong(string name, string right) =>
        new($"Component {Component}: {name} is '{_settings.Text(name)}': give {right}.");
}
