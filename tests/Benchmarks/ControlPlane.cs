using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using SpegelDapr.Cli.Images;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.LocalDapr;

namespace SpegelDapr.Benchmarks;

/// <summary>How soon a neighbour can know.</summary>
internal static class ControlPlane
{
    private const int Images = 15;
    private const int LayersAtOnce = 40;
    private const long LayerSize = 1_000_000;
    private const int Resolves = 500;
    private const int WarmUp = 50;
    private const int SnapshotKeys = 2000;

    public static async Task<IReadOnlyList<Figure>> MeasureAsync(Cluster cluster)
    {
        var (holder, asker) = (cluster.Nodes[0], cluster.Nodes[1]);
        var delays = new List<double>();
        for (var i = 0; i < Images; i++)
        {
            delays.AddRange(await AnnouncementDelaysAsync(holder, asker, await cluster.Images.PushAsync([LayerSize, LayerSize])));
        }

        var image = await cluster.Images.PushAsync([.. Enumerable.Repeat(LayerSize, LayersAtOnce)]);
        var storm = await AnnouncementDelaysAsync(holder, asker, image);
        var hits = await ResolveTimesAsync(asker, _ => image.Manifest);
        var misses = await ResolveTimesAsync(asker, i => Digest.OfSha256(BitConverter.GetBytes(i)));
        var snapshot = await SnapshotSecondsAsync(cluster, asker);
        return
        [
            new Figure("layer committed until resolvable by a neighbour, Redis", Delay(delays), "median ≤ 150 ms", delays.Median() <= 150),
            new Figure($"the same for an image of {LayersAtOnce} small layers, which keeps this machine busy", Delay(storm), "stated", null),
            Resolve("resolve of one key through the sidecars, hit", hits),
            Resolve("resolve of one key through the sidecars, miss", misses),
            new Figure($"start of discovery until {SnapshotKeys} keys are resolvable, Redis", $"{snapshot:0.0} s", "≤ 3 s", snapshot <= 3),
        ];
    }

    private static string Delay(List<double> delays) => $"median {delays.Median():0} ms, p99 {delays.Percentile(99):0} ms";

    private static Figure Resolve(string name, List<double> times) => new(
        name,
        $"median {times.Median():0.0} ms, p99 {times.Percentile(99):0.0} ms",
        "median ≤ 5 ms, p99 ≤ 20 ms",
        times.Median() <= 5 && times.Percentile(99) <= 20);

    /// <summary>For each layer of a pull, milliseconds from its commit, which containerd writes down as the file's time, until it is resolvable.</summary>
    private static async Task<List<double>> AnnouncementDelaysAsync(Node holder, Node asker, TestImage image)
    {
        var waiting = image.Layers.Select(layer => layer.Digest).ToHashSet();
        var delays = new List<double>();
        var pull = holder.Containerd.PullAsync(image.Reference);
        await Eventually.HoldsAsync("all layers are resolvable", async () =>
        {
            var answer = await asker.ResolveAsync([.. waiting.Select(ContentKey.FromDigest)]);
            var now = DateTime.UtcNow;
            foreach (var digest in answer?.Keys.Where(key => key.Holders.Count > 0).Select(key => key.Key.Digest!.Value) ?? [])
            {
                waiting.Remove(digest);
                delays.Add((now - File.GetLastWriteTimeUtc(holder.Containerd.BlobPath(digest.ToString()))).TotalMilliseconds);
            }

            return waiting.Count == 0;
        });
        await pull;
        return delays;
    }

    private static async Task<List<double>> ResolveTimesAsync(Node asker, Func<int, Digest> key)
    {
        var times = new List<double>();
        for (var i = -WarmUp; i < Resolves; i++)
        {
            var clock = Stopwatch.StartNew();
            _ = await asker.ResolveAsync(key(i)) ?? throw new InvalidOperationException("The resolver gave no answer.");
            if (i >= 0)
            {
                times.Add(clock.Elapsed.TotalMilliseconds);
            }
        }

        return times;
    }

    /// <summary>Seconds from the start of a discovery's process on a node with so many keys until the resolver offers them all.</summary>
    private static async Task<double> SnapshotSecondsAsync(Cluster cluster, Node asker)
    {
        var layout = OciLayout.OpenOrCreate(cluster.Directory.File("layout"));
        var keys = new List<ContentKey>();
        for (var i = 0; i < SnapshotKeys; i++)
        {
            keys.Add((await layout.AddAsync(OciMediaTypes.LayerGzip, stream => stream.WriteAsync(RandomNumberGenerator.GetBytes(64)).AsTask())).Digest);
        }

        var (http, grpc) = (FreePorts.Next(), FreePorts.Next());
        await using var sidecar = cluster.Sidecar("layout-sidecar", DaprNames.Discovery(asker.Identity.Location.Zone), Machine.Local, appPort: null, http, grpc);
        await using var discovery = ServiceProcess.Of("layout-discovery", cluster.Directory.Path, "SpegelDapr.Discovery", [], new Dictionary<string, string>
        {
            ["Node__Name"] = "layout-node",
            ["Node__Region"] = asker.Identity.Location.Region,
            ["Node__Zone"] = asker.Identity.Location.Zone,
            ["Node__Address"] = "http://127.0.0.1:1",
            ["Telemetry__Url"] = $"http://127.0.0.1:{FreePorts.Next()}",
            ["Discovery__Source"] = "oci-layout",
            ["OciLayout__Path"] = layout.Path,
            ["DAPR_HTTP_PORT"] = http.ToString(CultureInfo.InvariantCulture),
            ["DAPR_GRPC_PORT"] = grpc.ToString(CultureInfo.InvariantCulture),
        });
        sidecar.Start();
        using var client = new HttpClient();
        await Eventually.HoldsAsync("the sidecar listens", async () => (await client.GetAsync(new Uri($"http://127.0.0.1:{http}/v1.0/metadata"))).IsSuccessStatusCode);
        var clock = Stopwatch.StartNew();
        discovery.Start();
        foreach (var part in keys.Chunk(ResolveRequest.MaxKeys))
        {
            await Eventually.HoldsAsync(
                "the snapshot is resolvable",
                async () => await asker.ResolveAsync(part) is { } answer && answer.Keys.All(key => key.Holders.Count > 0),
                TimeSpan.FromMinutes(1));
        }

        return clock.Elapsed.TotalSeconds;
    }
}
