using System.Diagnostics.Metrics;
using SpegelDapr.Discovery.Publishing;

namespace SpegelDapr.Discovery;

/// <summary>Discovery's figures (meter <c>SpegelDapr.Discovery</c>).</summary>
internal sealed class DiscoveryMetrics
{
    private readonly Meter _meter;
    private readonly Counter<long> _events;
    private readonly Counter<long> _publishFailures;
    private readonly Counter<long> _listings;
    private readonly Counter<long> _sidecarRestarts;
    private readonly Counter<long> _questions;

    public DiscoveryMetrics(IMeterFactory meters)
    {
        _meter = meters.Create("SpegelDapr.Discovery");
        _events = _meter.CreateCounter<long>("spegel_dapr.discovery.events", "{event}", "Events published, by type");
        _publishFailures = _meter.CreateCounter<long>("spegel_dapr.discovery.publish_failures", "{attempt}", "Attempts to publish an event that failed");
        _listings = _meter.CreateCounter<long>("spegel_dapr.discovery.listings", "{listing}", "Times all content was listed");
        _sidecarRestarts = _meter.CreateCounter<long>(
            "spegel_dapr.discovery.sidecar_restarts", "{restart}", "Restarts that the sidecar was asked for, since it took no event for minutes");
        _questions = _meter.CreateCounter<long>(
            "spegel_dapr.discovery.questions", "{question}", "Questions what the zone's resolvers have heard of this node, by answer");
    }

    /// <summary>Has the held keys and the source's state observed whenever figures are read.</summary>
    public void Observe(HeldContent held, Func<bool> isSourceReadable)
    {
        _meter.CreateObservableGauge(
            "spegel_dapr.discovery.keys",
            () =>
            {
                var (digests, tags) = held.Count;
                return new[] { new Measurement<long>(digests, Kind("digest")), new Measurement<long>(tags, Kind("tag")) };
            },
            "{key}",
            "Keys that the node holds and announces, by kind");
        _meter.CreateObservableGauge(
            "spegel_dapr.discovery.source_readable", () => isSourceReadable() ? 1 : 0, description: "1 while the node's content can be read, else 0");
    }

    /// <summary>Has the number of problems of the node's setup observed, while it is known.</summary>
    public void Observe(Func<int?> setupProblems) => _meter.CreateObservableGauge(
        "spegel_dapr.discovery.node_setup_problems",
        () => setupProblems() is { } count ? [new Measurement<long>(count)] : Array.Empty<Measurement<long>>(),
        "{problem}",
        "What keeps the node's containerd from using the mirror, as seen when the pod started");

    /// <summary>An event has been published.</summary>
    public void Published(string type) => _events.Add(1, new KeyValuePair<string, object?>("type", type));

    /// <summary>An attempt to publish has failed.</summary>
    public void PublishFailed() => _publishFailures.Add(1);

    /// <summary>The sidecar has been asked to restart.</summary>
    public void SidecarRestarted() => _sidecarRestarts.Add(1);

    /// <summary>All content has been listed.</summary>
    public void Listed() => _listings.Add(1);

    /// <param name="answer"><c>matches</c>, <c>behind</c>, <c>differs</c>, <c>unknown</c> or <c>none</c>.</param>
    public void Asked(string answer) => _questions.Add(1, new KeyValuePair<string, object?>("answer", answer));

    private static KeyValuePair<string, object?> Kind(string kind) => new("kind", kind);
}
