using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.Benchmarks;

/// <summary>How fast blobs are served, against nginx in the same run. Runs of the two alternate, so that both see the same machine.</summary>
internal static class DataPlane
{
    private const long FileSize = 256 * 1024 * 1024;
    private const int Rounds = 9;

    public static async Task<IReadOnlyList<Figure>> MeasureAsync(Cluster cluster)
    {
        var image = await cluster.Images.PushAsync([FileSize]);
        var layer = image.Layers.Single();
        var (holder, neighbour) = (cluster.Nodes[0], cluster.Nodes[1]);
        await holder.Containerd.PullAsync(image.Reference);
        await holder.IsOfferedAsync(image.Digests);
        await using var nginx = await Nginx.StartAsync(cluster.Directory, Path.Combine(holder.Containerd.ContentPath, "blobs"));

        var file = layer.Digest.ToString().Replace(':', '/');
        var blob = $"v2/team/any/blobs/{layer.Digest}?ns={Registry.Host}";
        var local = new Uri(holder.Identity.Address.Uri, blob);
        var peer = new Uri(neighbour.Identity.Address.Uri, blob);
        return
        [
            await AgainstNginxAsync("local blob GET, 256 MiB, 1 connection", local, 1, 0.85, new Uri(nginx.Sendfile, file), new Uri(nginx.Buffered, file)),
            await AgainstNginxAsync("local blob GET, 256 MiB, 4 connections", local, 4, 0.85, new Uri(nginx.Sendfile, file), new Uri(nginx.Buffered, file)),
            await AgainstNginxAsync("through a peer, hash included, 1 connection", peer, 1, 0.7, new Uri(nginx.Proxy, file)),
            await AgainstNginxAsync("through a peer, hash included, 4 connections", peer, 4, 0.7, new Uri(nginx.Proxy, file)),
        ];
    }

    private static async Task<Figure> AgainstNginxAsync(string name, Uri ours, int connections, double target, params Uri[] theirs)
    {
        var measured = new[] { ours }.Concat(theirs).ToDictionary(uri => uri, _ => new List<double>());
        for (var round = 0; round <= Rounds; round++)
        {
            foreach (var (uri, throughputs) in measured)
            {
                var throughput = await Download.ThroughputAsync(uri, connections);
                if (round > 0)
                {
                    throughputs.Add(throughput);
                }
            }
        }

        var our = measured[ours].Median();
        var their = theirs.Max(uri => measured[uri].Median());
        return new Figure(name, $"{our / their:0.00} ({our / 1e9:0.00} of {their / 1e9:0.00} GB/s)", $"≥ {target:0.00} of nginx", our / their >= target);
    }
}
