using System.Formats.Tar;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text.Json;
using SpegelDapr.Cli.Images;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Demo;

/// <summary>An image of real content that is on every machine on which the demo runs: the program's own files, and those of the runtime that it runs on.</summary>
internal static class DemoImage
{
    /// <summary>How many layers it has.</summary>
    public const int Layers = 4;

    /// <summary>Makes the image in <paramref name="layout"/>, its files spread over a few gzipped layers of about the same size.</summary>
    public static async Task<OciDescriptor> CreateAsync(OciLayout layout, CancellationToken cancellationToken)
    {
        var layers = new List<OciDescriptor>();
        foreach (var files in SplitFiles())
        {
            layers.Add(await layout.AddAsync(OciMediaTypes.LayerGzip, stream => WriteLayerAsync(stream, files, cancellationToken)));
        }

        var architecture = RuntimeInformation.OSArchitecture == Architecture.Arm64 ? "arm64" : "amd64";
        var config = await layout.AddAsync(OciMediaTypes.Config, stream => JsonSerializer.SerializeAsync(
            stream,
            new { architecture, os = "linux", rootfs = new { type = "layers", diff_ids = layers.Select(layer => layer.Digest.ToString()) } },
            cancellationToken: cancellationToken));
        var manifest = new OciManifest { SchemaVersion = 2, MediaType = OciMediaTypes.Manifest, Config = config, Layers = layers };
        return await layout.AddAsync(
            OciMediaTypes.Manifest, stream => JsonSerializer.SerializeAsync(stream, manifest, OciJson.Default.OciManifest, cancellationToken));
    }

    private static IEnumerable<FileInfo[]> SplitFiles()
    {
        string[] directories = [AppContext.BaseDirectory, RuntimeEnvironment.GetRuntimeDirectory()];
        var own = directories.Distinct().SelectMany(directory => new DirectoryInfo(directory).EnumerateFiles()).DistinctBy(file => file.Name);
        var piles = Enumerable.Range(0, Layers).Select(_ => new List<FileInfo>()).ToArray();
        foreach (var file in own.OrderByDescending(file => file.Length).ThenBy(file => file.Name, StringComparer.Ordinal))
        {
            piles.MinBy(pile => pile.Sum(f => f.Length))!.Add(file);
        }

        return piles.Where(pile => pile.Count > 0).Select(pile => pile.OrderBy(file => file.Name, StringComparer.Ordinal).ToArray());
    }

    private static async Task WriteLayerAsync(Stream stream, FileInfo[] files, CancellationToken cancellationToken)
    {
        await using var gzip = new GZipStream(stream, CompressionLevel.Fastest, leaveOpen: true);
        await using var tar = new TarWriter(gzip, TarEntryFormat.Pax, leaveOpen: true);
        foreach (var file in files)
        {
            await using var content = file.OpenRead();
            await tar.WriteEntryAsync(
                new PaxTarEntry(TarEntryType.RegularFile, "app/" + file.Name) { DataStream = content, ModificationTime = DateTimeOffset.UnixEpoch },
                cancellationToken);
        }
    }
}
