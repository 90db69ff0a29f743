using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using SpegelDapr.Blob.Holders;
using SpegelDapr.Resolver.Nodes;

namespace SpegelDapr.Unit;

/// <summary>Keeps what is logged.</summary>
internal sealed class CollectingLogger : ILogger<NodeWatch>, ILogger<LostNodes>, ILogger<ResolverClient>
{
    private readonly ConcurrentQueue<(LogLevel Level, string Message)> _lines = new();

    public IReadOnlyList<string> Warnings => [.. _lines.Where(line => line.Level >= LogLevel.Warning).Select(line => line.Message)];

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _lines.Enqueue((logLevel, formatter(state, exception)));
}
