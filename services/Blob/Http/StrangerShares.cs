using System.Net;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Http;

/// <summary>
/// Keeps strangers, which are neither the node itself nor peers, from taking all the places that the node's own containerd needs: all of them together
/// have a part of these, and each address a part of that. One that takes more is told that the content is not here.
/// </summary>
internal sealed partial class StrangerShares(OwnAddresses own, TimeProvider time, ILogger<StrangerShares> logger)
{
    /// <summary>How many answers all strangers together get at once.</summary>
    public const int OfAll = TransferSlots.Most * 3 / 4;

    /// <summary>How many answers one address gets at once.</summary>
    public const int OfOne = OfAll / 2;

    private readonly Lock _lock = new();
    private readonly Dictionary<IPAddress, int> _taken = [];
    private readonly LogThrottle _throttle = new(time);
    private int _all;

    /// <summary>
    /// Takes a part for an answer to that address, until what is returned is disposed of; null when there is none. The node itself needs none.
    /// </summary>
    public IDisposable? TryTake(IPAddress? remote)
    {
        var address = OwnAddresses.Plain(remote ?? IPAddress.None);
        if (own.Contains(address))
        {
            return new Share(null, address);
        }

        lock (_lock)
        {
            var taken = _taken.GetValueOrDefault(address);
            if (_all < OfAll && taken < OfOne)
            {
                _all++;
                _taken[address] = taken + 1;
                return new Share(this, address);
            }
        }

        if (_throttle.IsOpen())
        {
            Log.Refused(logger, address);
        }

        return null;
    }

    private void Return(IPAddress address)
    {
        lock (_lock)
        {
            _all--;
            if (--_taken[address] == 0)
            {
                _taken.Remove(address);
            }
        }
    }

    private sealed class Share(StrangerShares? shares, IPAddress address) : IDisposable
    {
        public void Dispose() => shares?.Return(address);
    }

    private static partial class Log
    {
        [LoggerMessage(
            LogLevel.Warning,
            "{Address} gets no further answer, because it and others that are not the node itself (see Blob:Clients) have many at once.")]
        public static partial void Refused(ILogger logger, IPAddress address);
    }
}
