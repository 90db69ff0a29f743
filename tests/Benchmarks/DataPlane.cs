using System.Diagnostics;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.Benchmarks;

/// <summary>How fast blobs are served, and with how much CPU, against nginx in the same run. Runs of the two alternate, so that both see the same machine.</summary>
internal static class DataPlane
{
    private const long FileSize = 256 * 1024 * 1024;
    private const double GiB = 1024 * 1024 * 1024;
    private const int Rounds = 9;

    /// <summary>Of which SHA-256 takes 0.5.</summary>
    private const double MostCpuThroughPeer = 1.2;

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
        var local = new Source(new Uri(holder.Identity.Address.Uri, blob), [holder.Blob.Id]);
        var peer = new Source(new Uri(neighbour.Identity.Address.Uri, blob), [holder.Blob.Id, neighbour.Blob.Id]);
        var (sendfile, buffered, proxy) = (Of(nginx.Sendfile), Of(nginx.Buffered), Of(nginx.Proxy));
        return
        [
            .. await AgainstNginxAsync("local blob GET, 256 MiB, 1 connection", local, 1, 0.95, null, sendfile, buffered),
            .. await AgainstNginxAsync("local blob GET, 256 MiB, 4 connections", local, 4, 0.95, null, sendfile, buffered),
            .. await AgainstNginxAsync("through a peer, hash included, 1 connection", peer, 1, 0.75, MostCpuThroughPeer, proxy),
            .. await AgainstNginxAsync("through a peer, hash included, 4 connections", peer, 4, 0.75, MostCpuThroughPeer, proxy),
        ];

        Source Of(Uri server) => new(new Uri(server, file), nginx.Workers);
    }

    private static async Task<IReadOnlyList<Figure>> AgainstNginxAsync(
        string name, Source ours, int connections, double target, double? mostCpu, params Source[] theirs)
    {
        var measured = new[] { ours }.Concat(theirs).ToDictionary(source => source, _ => new List<(double Throughput, double Cpu, double Client)>());
        for (var round = 0; round <= Rounds; round++)
        {
            foreach (var (source, runs) in measured)
            {
                var run = await RunAsync(source, connections);
                if (round > 0)
                {
                    runs.Add(run);
                }
            }
        }

        var best = theirs.MaxBy(Throughput)!;
        var (our, their) = (Throughput(ours), Throughput(best));
        return
        [
            new Figure(name, $"{our / their:0.00} ({our / 1e9:0.00} of {their / 1e9:0.00} GB/s)", $"≥ {target:0.00} of nginx", our / their >= target),
            new Figure(
                "  CPU of servers and client",
                $"{Cpu(ours):0.00} s/GiB, servers {Cpu(ours) - Client(ours):0.00} (nginx {Cpu(best):0.00}, {Cpu(best) - Client(best):0.00})",
                mostCpu is { } most ? $"≤ {most:0.0} s/GiB" : "stated",
                mostCpu is null ? null : Cpu(ours) <= mostCpu),
        ];

        double Throughput(Source source) => measured[source].Select(run => run.Throughput).Median();

        double Cpu(Source source) => measured[source].Select(run => run.Cpu).Median();

        double Client(Source source) => measured[source].Select(run => run.Client).Median();
    }

    /// <summary>Bytes per second, and seconds of CPU per GiB, in all and of the client.</summary>
    private static async Task<(double Throughput, double Cpu, double Client)> RunAsync(Source source, int connections)
    {
        var (servers, client) = (source.CpuTime(), Environment.CpuUsage.TotalTime);
        var throughput = await Download.ThroughputAsync(source.Uri, connections);
        (servers, client) = (source.CpuTime() - servers, Environment.CpuUsage.TotalTime - client);
        return (throughput, PerGiB(servers + client), PerGiB(client));

        double PerGiB(TimeSpan cpu) => cpu.TotalSeconds / connections * GiB / FileSize;
    }

    /// <summary>What is downloaded.</summary>
    /// <param name="Uri">Where it is.</param>
    /// <param name="Servers">The processes that it comes through.</param>
    private sealed record Source(Uri Uri, IReadOnlyList<int> Servers)
    {
        /// <summary>What they have used so far.</summary>
        public TimeSpan CpuTime() => Servers.Aggregate(TimeSpan.Zero, (sum, server) =>
        {
            using var process = Process.GetProcessById(server);
            return sum + process.TotalProcessorTime;
        });
    }
}
