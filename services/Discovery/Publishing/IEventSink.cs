using SpegelDapr.Contracts;

namespace SpegelDapr.Discovery.Publishing;

/// <summary>Where events go.</summary>
internal interface IEventSink
{
    /// <summary>Hands over one event's JSON; returns when it has been taken.</summary>
    /// <exception cref="EventNotTakenException">It has not been, or may not have been.</exception>
    Task SendAsync(LayerEvent layerEvent, ReadOnlyMemory<byte> json, CancellationToken cancellationToken);

    /// <summary>Has what takes the events start anew; false when it does not answer, and so is away or starting already.</summary>
    Task<bool> TryRestartAsync(CancellationToken cancellationToken);
}

/// <summary>An event has not been taken, or may not have been; it can be sent again.</summary>
internal sealed class EventNotTakenException(string message, Exception? innerException = null) : Exception(message, innerException);
