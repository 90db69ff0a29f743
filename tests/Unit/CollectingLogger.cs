using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using SpegelDapr.Blob.Http;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Discovery.Hearing;
using SpegelDapr.Resolver.Nodes;
using SpegelDapr.Resolver.Subscribing;

namespace SpegelDapr.Unit;

/// <summary>Keeps what is logged.</summary>
internal sealed class CollectingLogger
    : ILogger<NodeWatch>, ILogger<LostNodes>, ILogger<ResolverClient>, ILogger<MirrorAddressWatch>, ILogger<Resubscription>, ILogger<HearingCheck>
{
    private readonly ConcurrentQueue<(LogLevel Level, string Message)> _lines = new();

    public IReadOnlyList<string> Warnings => [.. _lines.Where(line => line.Level >= LogLevel.Warning).Select(line => line.Message)];

    public IReadOnlyList<string> Lines => [.. _lines.Select(line => line.Message)];

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _lines.Enqueue((logLevel, formatter(state, exception)));
}

/// <summary>Keeps what a service logs, of all categories.</summary>
internal sealed class CollectingLoggerProvider : ILoggerProvider
{
    private readonly CollectingLogger _log = new();

    public IReadOnlyList<string> Lines => _log.Lines;

    public ILogger CreateLogger(string categoryName) => _log;

    public void Dispose()
    {
    }
}
