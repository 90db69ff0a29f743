using System.Globalization;
using SpegelDapr.Contracts;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A zone: a resolver, and nodes.</summary>
internal sealed class Zone : IAsyncDisposable
{
    public Zone(ZonePlan plan, Cluster cluster)
    {
        Location = plan.Location;
        Machine = plan.Resolver;
        Replicas = [.. Enumerable.Range(1, plan.Replicas).Select(number => new ResolverReplica(number, Location, Machine, cluster))];
        SetReach(plan.Reach);
        Nodes = [.. plan.Nodes.Select(node => new Node(node.Name, Location, node.Machine, cluster))];
    }

    public Location Location { get; }

    /// <summary>Where the resolver runs.</summary>
    public Machine Machine { get; }

    /// <summary>The replicas of the resolver, each behind a sidecar.</summary>
    public IReadOnlyList<ResolverReplica> Replicas { get; }

    /// <summary>The resolver's listener for its sidecar.</summary>
    public Uri App => Replicas[0].App;

    /// <summary>The resolver's metrics.</summary>
    public Uri Telemetry => Replicas[0].Telemetry;

    public ServiceProcess Resolver => Replicas[0].Process;

    public ServiceProcess ResolverSidecar => Replicas[0].Sidecar;

    public IReadOnlyList<Node> Nodes { get; }

    public async Task StartAsync()
    {
        foreach (var replica in Replicas)
        {
            replica.Sidecar.Start();
            replica.Process.Start();
        }

        await Task.WhenAll(Nodes.Select(node => node.StartAsync()));
        await Task.WhenAll(Nodes.Select(node => node.CanResolveAsync()));
    }

    /// <summary>Has the resolver offer the nodes of these locations from its next start on.</summary>
    public void SetReach(IReadOnlyList<Location> reach)
    {
        const string Setting = "Resolver__Reach__";
        foreach (var settings in Replicas.Select(replica => replica.Process.Settings))
        {
            foreach (var key in settings.Keys.Where(key => key.StartsWith(Setting, StringComparison.Ordinal)).ToList())
            {
                settings.Remove(key);
            }

            foreach (var (i, location) in reach.Index())
            {
                settings[Setting + i.ToString(CultureInfo.InvariantCulture)] = location.ToString();
            }
        }
    }

    public async ValueTask DisposeAsync() =>
        await Task.WhenAll(((IEnumerable<IAsyncDisposable>)[.. Nodes, .. Replicas]).Select(part => part.DisposeAsync().AsTask()));
}
