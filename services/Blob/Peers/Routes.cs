using System.Collections.Concurrent;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Peers;

/// <summary>What this node's transfers have taught of its routes: from each location and from each registry to here.</summary>
internal sealed class Routes(TimeProvider time)
{
    /// <summary>For how many decisions against the others a surprise on one route counts.</summary>
    private const int SurpriseCountsFor = 50;

    private const int MostAway = 1000;

    private static readonly TimeSpan UpstreamCountsFor = TimeSpan.FromHours(1);

    private readonly ConcurrentDictionary<Location, TransferEstimate> _peers = new();
    private readonly ConcurrentDictionary<string, TransferEstimate> _registries = new();
    private readonly ConcurrentDictionary<string, long> _away = new();

    /// <summary>The route from the nodes of a location.</summary>
    public TransferEstimate From(Location location) => _peers.GetOrAdd(location, _ => new TransferEstimate(time));

    /// <summary>The route from a registry; null when nothing has come from there.</summary>
    public TransferEstimate? FromUpstream(string registry) => _registries.GetValueOrDefault(registry);

    /// <summary>How many bytes a second a registry has given in the last hour; null when it has given nothing, and so may not be there.</summary>
    public double? RecentUpstream(string registry) =>
        FromUpstream(registry) is { } route && route.SinceBody < UpstreamCountsFor ? route.Figures.BytesPerSecond : null;

    /// <summary>Takes in that a registry has not given what it was asked for.</summary>
    public void Away(string registry)
    {
        if (_away.Count < MostAway)
        {
            _away[registry] = time.GetTimestamp();
        }
    }

    /// <summary>Whether that has been so in the last hour, and it has given nothing since.</summary>
    public bool IsAway(string registry) => _away.TryGetValue(registry, out var at) && time.GetElapsedTime(at) < UpstreamCountsFor;

    /// <summary>Takes in the body of a transfer from a peer.</summary>
    public void Received(Location location, long bytes, TimeSpan duration)
    {
        var route = From(location);
        Learn(route, route.ObserveBody(bytes, duration));
    }

    /// <summary>Takes in what containerd fetched from a registry.</summary>
    public void ReceivedFromUpstream(string registry, long bytes, TimeSpan duration)
    {
        var route = _registries.GetOrAdd(registry, _ => new TransferEstimate(time));
        _away.TryRemove(registry, out _);
        Learn(route, route.ObserveWhole(bytes, duration));
    }

    private void Learn(TransferEstimate route, bool isSurprise)
    {
        if (!isSurprise)
        {
            return;
        }

        foreach (var other in _peers.Values.Concat(_registries.Values).Where(other => other != route))
        {
            other.PassOver(SurpriseCountsFor);
        }
    }
}
