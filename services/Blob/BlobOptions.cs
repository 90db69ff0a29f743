using System.Net;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob;

/// <summary>Settings of the mirror (section <c>Blob</c>).</summary>
public sealed class BlobOptions : IValidatedOptions
{
    /// <summary>The section's name.</summary>
    public const string Section = "Blob";

    /// <summary>Where the mirror listens: <c>http://address:port</c>; <c>*</c> is every address of the machine.</summary>
    public string Url { get; set; } = "";

    /// <summary>
    /// Where the node's containerd reaches the mirror, if that is another address than the listener's: a pod's host port. What answers there is looked at,
    /// and is to be this mirror. Empty: nothing is looked at.
    /// </summary>
    public string MirrorAddress { get; set; } = "";

    /// <summary>The directory that holds <c>blobs/&lt;algorithm&gt;/&lt;hex&gt;</c>: containerd's store or an OCI layout.</summary>
    public string ContentPath { get; set; } = "/var/lib/containerd/io.containerd.content.v1.content";

    /// <summary>How long an answer of the resolver is waited for. After a fifth of it another replica is asked as well.</summary>
    public TimeSpan ResolveBudget { get; set; } = TimeSpan.FromMilliseconds(500);

    /// <summary>
    /// How long all peers together may take until the first byte; then the answer is 404 and containerd goes upstream. Before that, a copy
    /// of the node's own is given as long to be checked.
    /// </summary>
    public TimeSpan PeerStartBudget { get; set; } = TimeSpan.FromSeconds(3);

    /// <summary>
    /// Whether nodes of a zone that fetch the same content at the same time follow one another: this one what others are still downloading, and
    /// others what this one is.
    /// </summary>
    public bool Relay { get; set; } = true;

    /// <summary>How long nodes that are followed may take together until the first byte; then the answer is 404 and containerd goes upstream.</summary>
    public TimeSpan FollowStartBudget { get; set; } = TimeSpan.FromSeconds(15);

    /// <summary>
    /// How long a connection to a peer may take to be established, and how long is waited for a download to begin that a peer wants to follow.
    /// </summary>
    public TimeSpan PeerConnectBudget { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a peer may take to answer before the next one is asked as well.</summary>
    public TimeSpan HedgeDelay { get; set; } = TimeSpan.FromMilliseconds(150);

    /// <summary>How long a peer may send nothing, or next to nothing, in the middle of its content; then the next one continues.</summary>
    public TimeSpan StallBudget { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// In mode isolated, the addresses and networks besides the node's own addresses from which its containerd asks, as <c>address</c> or
    /// <c>address/bits</c>. In a pod they are the node's address and whatever the network puts in its place.
    /// </summary>
    public IList<string> Clients { get; } = [];

    /// <summary><see cref="Clients"/>, an address as a network of its own.</summary>
    internal IEnumerable<IPNetwork> ClientNetworks() => Clients.Select(client => Network(client) ?? throw new FormatException($"'{client}' is no network."));

    /// <summary>The most peers that are asked for one request.</summary>
    public int MaxPeerAttempts { get; set; } = 6;

    /// <inheritdoc/>
    public IEnumerable<string> Problems()
    {
        if (string.IsNullOrWhiteSpace(ContentPath))
        {
            yield return $"Blob:ContentPath is empty: give the directory that holds blobs/, such as {new BlobOptions().ContentPath}.";
        }

        if (MirrorAddress.Length > 0 && !BlobAddress.TryParseSetting(MirrorAddress, out _))
        {
            yield return $"Blob:MirrorAddress is '{MirrorAddress}': give {BlobAddress.Form}, at which the node's containerd reaches the mirror, or nothing.";
        }

        (string Name, TimeSpan Value)[] budgets =
        [
            (nameof(ResolveBudget), ResolveBudget),
            (nameof(PeerStartBudget), PeerStartBudget),
            (nameof(FollowStartBudget), FollowStartBudget),
            (nameof(PeerConnectBudget), PeerConnectBudget),
            (nameof(HedgeDelay), HedgeDelay),
            (nameof(StallBudget), StallBudget),
        ];
        foreach (var (name, value) in budgets)
        {
            if (value < TimeSpan.FromMilliseconds(10) || value > TimeSpan.FromMinutes(10))
            {
                yield return $"Blob:{name} is {value}: give a time from 00:00:00.010 to 00:10:00.";
            }
        }

        foreach (var client in Clients.Where(client => Network(client) is null))
        {
            yield return $"Blob:Clients holds '{client}': give an address or a network, such as 10.1.2.3, fd00::1 or fd00::/64.";
        }

        if (MaxPeerAttempts is < 1 or > 100)
        {
            yield return $"Blob:MaxPeerAttempts is {MaxPeerAttempts}: give a number from 1 to 100.";
        }
    }

    private static IPNetwork? Network(string text) =>
        IPAddress.TryParse(text, out var address) ? new IPNetwork(address, 8 * address.GetAddressBytes().Length)
        : IPNetwork.TryParse(text, out var network) ? network
        : null;
}
