using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using SpegelDapr.Cli.Images;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.LocalDapr;

namespace SpegelDapr.Benchmarks;

/// <summary>How soon a neighbour can know, and get.</summary>
internal static class ControlPlane
{
    private const int Images = 15;
    private const int LayersAtOnce = 40;
    private const long LayerSize = 1_000_000;
    private const int Resolves = 500;
    private const int WarmUp = 50;
    private const int SnapshotKeys = 2000;
    private const int FollowQuestions = 100;

    /// <summary>What a miss may take, as a multiple of one question to the resolver through the sidecars.</summary>
    private const double MostForMiss = 1.5;

    /// <summary>The same where it is decided whom the node follows, which is written to the store: less than two questions.</summary>
    private const double MostForMissOfDownload = 2;

    /// <summary>How long one who asks again and again waits in between.</summary>
    private static readonly TimeSpan AskInterval = TimeSpan.FromMilliseconds(2);

    /// <summary>How long is waited after a node has asked whom to follow: its blob looks for the download for a second, and many such looks would be measured.</summary>
    private static readonly TimeSpan FollowInterval = TimeSpan.FromMilliseconds(50);

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
        var served = await ServingDelaysAsync(cluster, holder, asker);
        var (asked, missed) = await MissTimesAsync(asker, Resolves, isDownloading: false);
        var (askedBeside, missedDownload) = await MissTimesAsync(asker, FollowQuestions, isDownloading: true);
        var snapshot = await SnapshotSecondsAsync(cluster, asker);
        return
        [
            new Figure("layer committed until resolvable by a neighbour, Redis", Delay(delays), "median ≤ 150 ms", delays.Median() <= 150),
            new Figure($"the same for an image of {LayersAtOnce} small layers, which keeps this machine busy", Delay(storm), "stated", null),
            new Figure("layer committed until served to one who asked a moment too early", Delay(served), "median ≤ 150 ms", served.Median() <= 150),
            Resolve("resolve of one key through the sidecars, hit", hits),
            Resolve("resolve of one key through the sidecars, miss", misses),
            Miss("GET of what nobody holds, through blob", missed, asked, MostForMiss),
            Miss("the same for a containerd that downloads it, which might follow", missedDownload, askedBeside, MostForMissOfDownload),
            new Figure($"start of discovery until {SnapshotKeys} keys are resolvable, Redis", $"{snapshot:0.0} s", "≤ 3 s", snapshot <= 3),
        ];
    }

    private static string Delay(List<double> delays) => $"median {delays.Median():0} ms, p99 {delays.Percentile(99):0} ms";

    private static Figure Resolve(string name, List<double> times) => new(
        name,
        $"median {times.Median():0.0} ms, p99 {times.Percentile(99):0.0} ms",
        "median ≤ 5 ms, p99 ≤ 20 ms",
        times.Median() <= 5 && times.Percentile(99) <= 20);

    private static Figure Miss(string name, List<double> times, List<double> questions, double most)
    {
        var ratio = times.Median() / questions.Median();
        return new Figure(
            name,
            $"{ratio:0.00} × one question (median {times.Median():0.0} of {questions.Median():0.0} ms, p99 {times.Percentile(99):0.0} ms)",
            $"≤ {most:0.0} ×",
            ratio <= most);
    }

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

    /// <summary>
    /// For each of some layers, milliseconds from its commit until a neighbour's blob gives the first byte to one who began to ask before, and has asked again
    /// and again.
    /// </summary>
    private static async Task<List<double>> ServingDelaysAsync(Cluster cluster, Node holder, Node asker)
    {
        using var http = new HttpClient();
        var delays = new List<double>();
        for (var i = 0; i < Images; i++)
        {
            var image = await cluster.Images.PushAsync([LayerSize]);
            var layer = image.Layers.Single().Digest;
            var serving = FirstByteAsync(http, BlobUri(asker, layer));
            await holder.Containerd.PullAsync(image.Reference);
            delays.Add((await serving - File.GetLastWriteTimeUtc(holder.Containerd.BlobPath(layer.ToString()))).TotalMilliseconds);
        }

        return delays;
    }

    /// <summary>Asks until the first byte is there, and returns the time.</summary>
    private static async Task<DateTime> FirstByteAsync(HttpClient http, Uri uri)
    {
        while (true)
        {
            using var response = await http.GetAsync(uri, HttpCompletionOption.ResponseHeadersRead);
            if (response.IsSuccessStatusCode)
            {
                await using var body = await response.Content.ReadAsStreamAsync();
                await body.ReadExactlyAsync(new byte[1]);
                return DateTime.UtcNow;
            }

            await Task.Delay(AskInterval);
        }
    }

    /// <summary>Milliseconds of bare questions to the resolver and of GETs by blob, in turn, for what nobody holds; optionally with a download of it as containerd begins one.</summary>
    private static async Task<(List<double> Questions, List<double> Gets)> MissTimesAsync(Node asker, int count, bool isDownloading)
    {
        using var http = new HttpClient();
        var (questions, gets) = (new List<double>(), new List<double>());

        // As many to begin with, since a blob that has just started runs code that is still to be compiled well.
        for (var i = -count; i < count; i++)
        {
            var digest = Digest.OfSha256(Guid.NewGuid().ToByteArray());
            var ingest = Path.Combine(asker.Containerd.ContentPath, "ingest", digest.Hex);
            if (isDownloading)
            {
                Directory.CreateDirectory(ingest);
                await File.WriteAllTextAsync(Path.Combine(ingest, "ref"), $"layer-{digest}");
                await Task.Delay(FollowInterval);
            }

            var clock = Stopwatch.StartNew();
            _ = await asker.ResolveAsync(Digest.OfSha256(Guid.NewGuid().ToByteArray())) ?? throw new InvalidOperationException("The resolver gave no answer.");
            var question = clock.Elapsed.TotalMilliseconds;
            clock.Restart();
            using var response = await http.GetAsync(BlobUri(asker, digest));
            var get = clock.Elapsed.TotalMilliseconds;
            if (isDownloading)
            {
                Directory.Delete(ingest, recursive: true);
            }

            if (response.StatusCode != HttpStatusCode.NotFound)
            {
                throw new InvalidOperationException($"What nobody holds was answered with {response.StatusCode}.");
            }

            if (i >= 0)
            {
                questions.Add(question);
                gets.Add(get);
            }
        }

        return (questions, gets);
    }

    private static Uri BlobUri(Node node, Digest digest) => new(node.Identity.Address.Uri, $"v2/team/any/blobs/{digest}?ns={Registry.Host}");

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
