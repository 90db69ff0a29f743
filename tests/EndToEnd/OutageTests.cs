using System.Diagnostics;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary>Never worse than no mirror: a part of the control plane goes away in the middle of a series of pulls, and comes back.</summary>
public sealed class OutageTests() : ClusterTests(nodes: 2)
{
    [RealFact]
    [Trait("Suite", "core")]
    public Task The_broker_stops_and_comes_back() => PullThroughOutageAsync(Cluster.Backend.StopBrokerAsync, Cluster.Backend.StartBrokerAsync);

    [RealFact]
    public Task The_resolver_stops_and_comes_back() => PullThroughOutageAsync(Cluster.Zones[0].Resolver.KillAsync, () => Started(Cluster.Zones[0].Resolver));

    [RealFact]
    public Task The_resolvers_sidecar_stops_and_comes_back() => PullThroughOutageAsync(Cluster.Zones[0].ResolverSidecar.KillAsync, () => Started(Cluster.Zones[0].ResolverSidecar));

    [RealFact]
    public Task The_nodes_sidecar_stops_and_comes_back() => PullThroughOutageAsync(Second.Sidecar.KillAsync, () => Started(Second.Sidecar));

    [RealFact]
    public async Task A_resolver_that_hangs_costs_a_pull_no_more_than_its_budget()
    {
        var image = await Cluster.Images.PushAsync([MiB, MiB, MiB]);
        Cluster.Zones[0].Resolver.Freeze();
        try
        {
            using var http = new HttpClient();
            var clock = Stopwatch.StartNew();
            using var response = await http.GetAsync(new Uri(Second.Identity.Address.Uri, $"v2/team/any/blobs/{image.Manifest}?ns={Registry.Host}"));

            Assert.Equal(System.Net.HttpStatusCode.NotFound, response.StatusCode);
            Assert.InRange(clock.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(5));
            await Second.Containerd.PullAsync(image.Reference);
        }
        finally
        {
            Cluster.Zones[0].Resolver.Thaw();
        }
    }

    private static Task Started(ServiceProcess process)
    {
        process.Start();
        return Task.CompletedTask;
    }

    private async Task PullThroughOutageAsync(Func<Task> stop, Func<Task> start)
    {
        var images = new List<TestImage>();
        for (var i = 0; i < 4; i++)
        {
            images.Add(await Cluster.Images.PushAsync([MiB, MiB, MiB]));
        }

        await PullAsync(images[0], First);
        await Second.Containerd.PullAsync(images[0].Reference);
        await Second.HasServedAsync(Tier.SameZone, images[0].BlobBytes);

        await stop();
        await First.Containerd.PullAsync(images[1].Reference);
        await Second.Containerd.PullAsync(images[1].Reference);
        await Second.Containerd.PullAsync(images[2].Reference);

        await start();
        await First.IsOfferedAsync(images[1].Digests, TimeSpan.FromSeconds(40));
        await PullAsync(images[3], First);
        await Eventually.HoldsAsync("a pull comes from the neighbour again", async () =>
        {
            var before = await Second.ServedAsync(Tier.SameZone);
            await Second.Containerd.RemoveAsync(images[3].Reference);
            await Second.Containerd.PullAsync(images[3].Reference);
            return await Second.ServedAsync(Tier.SameZone) - before >= images[3].BlobBytes;
        });
    }
}
