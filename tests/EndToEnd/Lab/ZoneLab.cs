using System.Globalization;
using System.Text.Json;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>A link of a zone's router.</summary>
internal enum LabLink
{
    /// <summary>To the other zones.</summary>
    Zones,

    /// <summary>To the registry.</summary>
    Upstream,
}

/// <summary>What has come into a zone by a link, and what has gone out by it, in bytes without the headers of Ethernet, IP and TCP.</summary>
internal readonly record struct LinkBytes(long Received, long Sent);

/// <summary>A zone of a lab to be.</summary>
/// <param name="Location">Where it is.</param>
/// <param name="Nodes">How many nodes it has.</param>
internal sealed record LabZone(Location Location, int Nodes);

/// <summary>
/// A cluster whose machines are network namespaces, with links between its zones and to the registry that are limited, counted and cut.
/// <c>tests/lab/lab.sh</c> builds the network, which it describes, and this runs the programs in it. Redis is beyond a link of its own, so
/// that the links between zones carry content alone; a zone that is cut off loses Redis as well.
/// </summary>
internal sealed class ZoneLab : IAsyncDisposable
{
    private readonly string _name;

    /// <summary>
    /// The length of a packet's headers: Ethernet 14, IPv4 20 or IPv6 40, TCP with timestamps 32. How many bytes share a packet differs from run to run.
    /// </summary>
    private readonly int _headers;

    private ZoneLab(string name, Cluster cluster, bool isIPv6) => (_name, Cluster, _headers) = (name, cluster, isIPv6 ? 86 : 66);

    public Cluster Cluster { get; }

    /// <summary>Builds the network and starts everything.</summary>
    /// <param name="zones">The zones.</param>
    /// <param name="isIsolated">Whether resolvers reach no other zone than their own.</param>
    /// <param name="isIPv6">Whether the machines have addresses of IPv6 alone.</param>
    /// <param name="settings">What the environment of all services says.</param>
    public static async Task<ZoneLab> StartAsync(IReadOnlyList<LabZone> zones, bool isIsolated, bool isIPv6, IReadOnlyDictionary<string, string> settings)
    {
        var lines = (await ScriptAsync(
            ["up", "--owner", Environment.ProcessId.ToString(CultureInfo.InvariantCulture), .. isIPv6 ? ["--ipv6"] : Array.Empty<string>(), .. zones.Select(zone => $"{zone.Location.Zone}={zone.Nodes}")]))
            .Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var name = lines[0];
        try
        {
            var machines = lines.Skip(1)
                .Select(line => line.Split(' '))
                .ToDictionary(parts => parts[0], parts => Machine.InNamespace(parts[1], $"{name}.{parts[0]}"));
            var plan = new ClusterPlan(
                machines["upstream"],
                machines["control"],
                [.. zones.Select(zone => new ZonePlan(
                    zone.Location,
                    isIsolated ? [zone.Location] : [.. zones.Select(other => other.Location)],
                    machines[$"{zone.Location.Zone}-resolver"],
                    [.. Enumerable.Range(1, zone.Nodes).Select(i => $"{zone.Location.Zone}-{i}").Select(node => (node, machines[node]))]))])
            {
                Name = name,
                Settings = new Dictionary<string, string>(Patience.Concat(settings)),
            };
            return new ZoneLab(name, await Cluster.StartAsync(plan), isIPv6);
        }
        catch
        {
            await ScriptAsync(["down", name]);
            throw;
        }
    }

    /// <summary>
    /// Here a machine or two play ten, and everything is compiled while it is first used: a budget that runs out would send a pull upstream for no
    /// reason that a test is about.
    /// </summary>
    private static readonly Dictionary<string, string> Patience = new()
    {
        ["Blob__ResolveBudget"] = "00:00:05",
        ["Blob__PeerConnectBudget"] = "00:00:05",
        ["Blob__PeerStartBudget"] = "00:00:10",
    };

    /// <summary>What a zone's link has carried, as its interface counts it.</summary>
    public async Task<LinkBytes> BytesAsync(Zone zone, LabLink link)
    {
        var json = await ExternalProcess.RunAsync("ip", ["-n", $"{_name}.{zone.Location.Zone}", "-json", "-statistics", "link", "show", "dev", Name(link)]);
        using var links = JsonDocument.Parse(json);
        var counters = links.RootElement[0].GetProperty("stats64");
        long Payload(string direction)
        {
            var counted = counters.GetProperty(direction);
            return counted.GetProperty("bytes").GetInt64() - (_headers * counted.GetProperty("packets").GetInt64());
        }

        return new LinkBytes(Payload("rx"), Payload("tx"));
    }

    /// <summary>The bytes that have come from zone to zone.</summary>
    public async Task<long> BytesBetweenZonesAsync() =>
        (await Task.WhenAll(Cluster.Zones.Select(zone => BytesAsync(zone, LabLink.Zones)))).Sum(link => link.Received);

    /// <summary>Limits a link of a zone, to and fro; also while it is in use.</summary>
    public Task LimitAsync(Zone zone, LabLink link, int megabitsPerSecond) =>
        ScriptAsync(["rate", _name, zone.Location.Zone, Name(link), megabitsPerSecond.ToString(CultureInfo.InvariantCulture)]);

    /// <summary>Limits a node's own link, to and fro; also while it is in use.</summary>
    public Task LimitAsync(Node node, int megabitsPerSecond) =>
        ScriptAsync(["rate", _name, node.Identity.Location.Zone, NameOfLink(node), megabitsPerSecond.ToString(CultureInfo.InvariantCulture)]);

    /// <summary>Cuts a zone off from the others and from Redis. The registry stays.</summary>
    public Task CutAsync(Zone zone) => ScriptAsync(["cut", _name, zone.Location.Zone]);

    /// <summary>Ends <see cref="CutAsync(Zone)"/>.</summary>
    public Task JoinAsync(Zone zone) => ScriptAsync(["join", _name, zone.Location.Zone]);

    /// <summary>Cuts a node off from all others.</summary>
    public Task CutAsync(Node node) => ScriptAsync(["cut", _name, node.Identity.Location.Zone, NameOfLink(node)]);

    /// <summary>Ends <see cref="CutAsync(Node)"/>.</summary>
    public Task JoinAsync(Node node) => ScriptAsync(["join", _name, node.Identity.Location.Zone, NameOfLink(node)]);

    public async ValueTask DisposeAsync()
    {
        try
        {
            await Cluster.DisposeAsync();
        }
        finally
        {
            await ScriptAsync(["down", _name]);
        }
    }

    private static Task<string> ScriptAsync(IEnumerable<string> arguments) => ExternalProcess.RunAsync(Checkout.Path("tests/lab/lab.sh"), arguments);

    private static string NameOfLink(Node node) => "node" + node.Identity.Name.ToString()[node.Identity.Location.Zone.Length..];

    private static string Name(LabLink link) => link == LabLink.Zones ? "zones" : "upstream";
}
