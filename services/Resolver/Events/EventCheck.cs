using System.Net;
using System.Net.Sockets;
using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver.Events;

/// <summary>What an event must satisfy besides being well formed, which its types see to.</summary>
internal static class EventCheck
{
    private static readonly IPNetwork[] CloudServices = [IPNetwork.Parse("fd00:ec2::/32"), IPNetwork.Parse("fd20:ce::254/128")];

    /// <summary>The most chunks a snapshot may have: more than a million keys.</summary>
    public const int MostChunks = 2048;

    /// <summary>Above any time in milliseconds and any count, and far from overflow.</summary>
    private const long MostNumber = 1L << 53;

    /// <summary>Why an event that came on the topic of <paramref name="location"/> must be dropped; null when it is good.</summary>
    public static string? Problem(LayerEvent layerEvent, Location location) => layerEvent switch
    {
        // A zone may not speak for another: who may publish on which topic is decided by Dapr's scopes.
        _ when layerEvent.Node.Location != location => "location",
        _ when !IsNodeAddress(layerEvent.Node.Address) => "address",
        { Epoch: < 1 or > MostNumber } => "epoch",
        { Sequence: < 0 or > MostNumber } => "sequence",
        SnapshotEvent { Sequence: 0 } or DeltaEvent { Sequence: 0 } => "sequence",
        SnapshotEvent { Chunks: < 1 or > MostChunks } => "chunks",
        SnapshotEvent { Chunk: < 0 } => "chunks",
        SnapshotEvent chunk when chunk.Chunk >= chunk.Chunks => "chunks",
        SnapshotEvent chunk => KeysProblem(chunk.Keys),
        DeltaEvent delta => KeysProblem([.. delta.Removed, .. delta.Added]),
        _ => null,
    };

    /// <summary>
    /// Whether a node can be there. Other nodes send requests to the address, so it must not lead them to what is reached from each node by itself,
    /// such as a cloud's metadata at 169.254.169.254, on AWS also in fd00:ec2::/32 and on Google Cloud at fd20:ce::254. Loopback may be: on a laptop
    /// all nodes are there.
    /// </summary>
    private static bool IsNodeAddress(BlobAddress address)
    {
        if (!IPAddress.TryParse(address.Uri.DnsSafeHost, out var ip))
        {
            return true;
        }

        ip = ip.IsIPv4MappedToIPv6 ? ip.MapToIPv4() : ip;
        return ip.AddressFamily == AddressFamily.InterNetwork
            ? ip.GetAddressBytes() is not ([0, 0, 0, 0] or [169, 254, ..] or [>= 224 and <= 239, ..])
            : !(ip.Equals(IPAddress.IPv6Any) || ip.IsIPv6LinkLocal || ip.IsIPv6Multicast || CloudServices.Any(network => network.Contains(ip)));
    }

    private static string? KeysProblem(IReadOnlyList<HeldKey?> keys) =>
        keys.Count > LayerEvent.MaxKeys || keys.Contains(null) ? "keys" : null;
}
