using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary>A zone whose services are all as in their images: native code, in containers.</summary>
public sealed class NativeZoneTests() : ClusterTests(nodes: 2)
{
    [NativeFact]
    public async Task A_neighbour_serves_what_has_been_pulled_once()
    {
        await using var resolver = await ReplaceAsync("Resolver", Cluster.Zones[0].Resolver, []);
        await using var firstDiscovery = await ReplaceDiscoveryAsync(First);
        await using var firstBlob = await ReplaceBlobAsync(First);
        await using var secondDiscovery = await ReplaceDiscoveryAsync(Second);
        await using var secondBlob = await ReplaceBlobAsync(Second);
        await Task.WhenAll(Cluster.Nodes.Select(node => node.AnswersAsync()));
        await Task.WhenAll(Cluster.Nodes.Select(node => node.CanResolveAsync()));

        var image = await PullOnAsync([3 * MiB, 5 * MiB], First);
        await Cluster.Registry.StopAsync();
        await Second.Containerd.PullAsync(image.Reference);

        await Second.HasServedAsync(Tier.SameZone, image.BlobBytes);
    }

    private Task<NativeContainer> ReplaceDiscoveryAsync(Node node) =>
        ReplaceAsync("Discovery", node.Discovery, new() { [node.Containerd.Socket] = true, [node.Containerd.ContentPath] = false });

    private Task<NativeContainer> ReplaceBlobAsync(Node node) => ReplaceAsync("Blob", node.Blob, new() { [node.Containerd.ContentPath] = false });

    private async Task<NativeContainer> ReplaceAsync(string service, ServiceProcess process, Dictionary<string, bool> mounts)
    {
        await process.StopAsync();
        return await NativeContainer.StartAsync(service, Cluster.Directory.Sub($"native-{Guid.NewGuid():N}"), mounts, process.Settings);
    }
}
