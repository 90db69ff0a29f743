using System.Globalization;
using Microsoft.Extensions.Logging;

namespace SpegelDapr.Simulation;

/// <summary>What a node's classes log, with the virtual time and the node's name.</summary>
internal sealed class NodeLog(VirtualTime time, string node, TextWriter? output) : ILoggerFactory, ILogger
{
    public ILogger CreateLogger(string categoryName) => this;

    public bool IsEnabled(LogLevel logLevel) => output is not null;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Write(formatter(state, exception));

    /// <summary>Writes a line.</summary>
    public void Write(string text) => output?.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{time.Elapsed.TotalSeconds,8:0.000} {node}: {text}"));

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public void Dispose()
    {
        // It holds nothing.
    }
}
