using System.Net;
using System.Net.NetworkInformation;
using Microsoft.Extensions.Options;

namespace SpegelDapr.Blob.Http;

/// <summary>The addresses from which the node's own containerd asks: those of this machine or pod, and those of <see cref="BlobOptions.Clients"/>.</summary>
internal sealed class OwnAddresses(IOptions<BlobOptions> options)
{
    private readonly IPNetwork[] _clients = [.. options.Value.ClientNetworks()];
    private readonly HashSet<IPAddress> _own = [.. OfThisMachine()];

    /// <summary>Whether a request from that address is one of the node's own containerd; null is none.</summary>
    public bool Contains(IPAddress? remote) =>
        remote is not null
        && Plain(remote) is var address
        && (IPAddress.IsLoopback(address) || _own.Contains(address) || Array.Exists(_clients, network => network.Contains(address)));

    /// <summary>An IPv4 address as such: a listener for both families gets <c>::ffff:10.0.0.1</c> for it.</summary>
    public static IPAddress Plain(IPAddress address) => address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;

    private static IEnumerable<IPAddress> OfThisMachine() =>
        from card in NetworkInterface.GetAllNetworkInterfaces()
        from address in card.GetIPProperties().UnicastAddresses
        select address.Address;
}
