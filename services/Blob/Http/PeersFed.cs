using System.Net;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Http;

/// <summary>
/// What this node sends to peers at once. Each body has some MiB of memory, so there is a bound on all. Long before that a peer does not get content from here
/// that others are fetching from here already, when one more would only slow those down: it is referred to them, and they pass it on.
/// </summary>
internal sealed class PeersFed(TimeProvider time)
{
    /// <summary>With two response buffers of a MiB and what is being read, the most bodies stay below 200 MiB.</summary>
    public const int Most = 64;

    /// <summary>The most of one address, since nobody need be what they claim. Nodes of one machine share it.</summary>
    public const int MostOfOneAddress = Most / 4;

    /// <summary>This number of peers get the same content from here in any case, and the second number while it is not known what this node can send.</summary>
    private const int LeastOfOneContent = 2;
    private const int LeastWhileUnknown = 4;

    /// <summary>What is smaller is sent before it could be passed on.</summary>
    private const long LeastBytes = 4 * 1024 * 1024;

    /// <summary>This part of the most that this node has sent lately is all that it can send.</summary>
    private const double AllOfIt = 0.8;

    /// <summary>Of a peer that has just begun it is not known yet what it leaves for others.</summary>
    private static readonly TimeSpan Beginning = TimeSpan.FromMilliseconds(500);

    /// <summary>A peer that has taken nothing for so long may have gone, and can pass nothing on.</summary>
    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(2);

    private readonly Lock _lock = new();
    private readonly List<FedPeer> _fed = [];
    private readonly RateWindow _all = new(time);
    private readonly FastestRate _fastest = new(time);
    private readonly FastestRate _fastestToOne = new(time);

    /// <summary>
    /// The fastest that anything has gone from this node to one peer or, as <paramref name="came"/> says, come to it; null when nothing has. One that leads gets
    /// nothing from others.
    /// </summary>
    public double? FastestOf(FastestRate came) => new[] { _fastestToOne.BytesPerSecond, came.BytesPerSecond }.Max();

    /// <summary>Begins to send content to a peer; null when it is to be declined.</summary>
    /// <param name="digest">The content.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="peer">The peer; null when it does not say.</param>
    /// <param name="isReferred">Whether it goes where it is referred to, and can pass the content on itself.</param>
    /// <param name="address">Where it asks from; null when that is not known.</param>
    public FedPeer? TryBegin(Digest digest, long length, NodeName? peer, bool isReferred, IPAddress? address)
    {
        lock (_lock)
        {
            var isOwn = address is null || IPAddress.IsLoopback(address);
            if (_fed.Count >= Most
                || (!isOwn && _fed.Count(other => address!.Equals(other.Address)) >= MostOfOneAddress)
                || (isReferred && length >= LeastBytes && IsCrowded(digest)))
            {
                return null;
            }

            var begun = new FedPeer(this, digest, isReferred ? peer : null, address, time);
            _fed.Add(begun);
            return begun;
        }
    }

    /// <summary>The peers that get this content from here and can pass it on, the latest first: those before may be fed by nobody else.</summary>
    public IReadOnlyList<NodeName> Of(Digest digest)
    {
        lock (_lock)
        {
            return [.. OfOne(digest).Reverse()];
        }
    }

    /// <summary>Takes in that bytes have been sent to one of the peers.</summary>
    /// <param name="bytes">How many.</param>
    /// <param name="toOne">What goes to that one.</param>
    public void Sent(int bytes, RateWindow toOne)
    {
        lock (_lock)
        {
            _all.Add(bytes);
            toOne.Add(bytes);
            _fastest.Saw(_all.BytesPerSecond ?? 0);
            _fastestToOne.Saw(toOne.BytesPerSecond ?? 0);
        }
    }

    /// <summary>Ends what <see cref="TryBegin"/> began.</summary>
    public void End(FedPeer peer)
    {
        lock (_lock)
        {
            _fed.Remove(peer);
            if (_fed.Count == 0)
            {
                _all.Forget();
            }
        }
    }

    private bool IsCrowded(Digest digest)
    {
        var rate = _all.BytesPerSecond;
        var count = OfOne(digest).Count();
        return rate is null
            ? count >= LeastWhileUnknown
            : count >= LeastOfOneContent
                && (_fed.Exists(peer => peer.Digest == digest && peer.Name is not null && peer.HasJustBegun(Beginning))
                    || (rate >= AllOfIt * _fastest.BytesPerSecond && _fed.TrueForAll(peer => peer.IsBehind || peer.IsIdleFor(Idle))));
    }

    private IEnumerable<NodeName> OfOne(Digest digest) =>
        _fed.Where(peer => peer.Digest == digest && peer.Name is not null && !peer.IsIdleFor(Idle)).Select(peer => peer.Name!.Value);
}

/// <summary>A peer that is being sent content.</summary>
internal sealed class FedPeer(PeersFed all, Digest digest, NodeName? name, IPAddress? address, TimeProvider time) : IDisposable
{
    private readonly RateWindow _rate = new(time);
    private readonly long _began = time.GetTimestamp();
    private volatile bool _isBehind = true;
    private long _sentAt = time.GetTimestamp();

    public Digest Digest => digest;

    /// <summary>The peer's name, if it can pass the content on.</summary>
    public NodeName? Name => name;

    /// <summary>Where it asks from.</summary>
    public IPAddress? Address => address;

    /// <summary>Whether there is more for it than it has taken.</summary>
    public bool IsBehind => _isBehind;

    /// <summary>Whether it has begun less than so long ago.</summary>
    public bool HasJustBegun(TimeSpan duration) => time.GetElapsedTime(_began) < duration;

    /// <summary>Whether it has taken nothing for so long.</summary>
    public bool IsIdleFor(TimeSpan duration) => time.GetElapsedTime(Interlocked.Read(ref _sentAt)) >= duration;

    /// <summary>Takes in that bytes have been sent to it.</summary>
    public void Sent(int bytes, bool isBehind)
    {
        _isBehind = isBehind;
        Interlocked.Exchange(ref _sentAt, time.GetTimestamp());
        all.Sent(bytes, _rate);
    }

    /// <inheritdoc/>
    public void Dispose() => all.End(this);
}
