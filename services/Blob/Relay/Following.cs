using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Holders;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Relay;

/// <summary>Begins to follow others, with what all that do so share.</summary>
internal sealed class Following(
    ResolverClient resolver,
    PeerClient peers,
    Feeds feeds,
    Ingests ingests,
    Shunned shunned,
    IOptions<BlobOptions> options,
    IOptions<NodeOptions> node,
    TimeProvider time,
    ILogger<FollowSource> logger)
{
    private readonly NodeIdentity _node = node.Value.Identity;

    public ResolverClient Resolver => resolver;

    public PeerClient Peers => peers;

    public Feeds Feeds => feeds;

    public Ingests Ingests => ingests;

    public Shunned Shunned => shunned;

    public BlobOptions Options => options.Value;

    public TimeProvider Time => time;

    public ILogger Logger => logger;

    /// <summary>After so many nodes that were followed in vain no other is.</summary>
    public int MostFailed => Math.Min(options.Value.MaxPeerAttempts, FollowRequest.MaxFailed);

    /// <summary>
    /// The nodes in flight, with the holders that are farther than they; the holders alone where nobody is to be followed: by the settings, or because
    /// another request for the same content does so already.
    /// </summary>
    public IPeerSource Before(IPeerSource farther, Digest digest) =>
        options.Value.Relay && feeds.TryBegin(digest) is { } tail ? new FollowSource(this, digest, tail, farther) : farther;

    /// <summary>Whether a node that the resolver names may be followed: whatever the answer says, not itself, and none outside the zone.</summary>
    public bool IsInZone(NodeIdentity other) => other.Location == _node.Location && other.Name != _node.Name;
}
