using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text.Json;
using SpegelDapr.Cli.Images;
using SpegelDapr.Contracts;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>An image that a test has pushed.</summary>
/// <param name="Reference">Its name for the nodes.</param>
/// <param name="Manifest">Its manifest for this machine.</param>
/// <param name="Blobs">Its configuration and layers, as the registry has them.</param>
internal sealed record TestImage(string Reference, Digest Manifest, IReadOnlyList<OciDescriptor> Blobs)
{
    /// <summary>All that a node must hold to have the image, the tag apart.</summary>
    public IReadOnlyList<ContentKey> Digests => [Manifest, .. Blobs.Select(blob => ContentKey.FromDigest(blob.Digest))];

    /// <summary>The tag.</summary>
    public ContentKey Tag => ContentKey.Parse(Reference);

    /// <summary>The bytes of configuration and layers.</summary>
    public long BlobBytes => Blobs.Sum(blob => blob.Size);

    /// <summary>The layers.</summary>
    public IEnumerable<OciDescriptor> Layers => Blobs.Skip(1);
}

/// <summary>Makes images of random content, which differ from run to run, and pushes them.</summary>
internal sealed class TestImages(TestDirectory directory, Registry registry)
{
    private const int Chunk = 1024 * 1024;

    private int _count;

    /// <summary>Pushes an image with layers of these sizes in bytes.</summary>
    /// <param name="layerSizes">The size of the file in each layer.</param>
    /// <param name="asDocker">Push it as Docker schema 2.</param>
    /// <param name="asIndex">Push it under an OCI index, with a second platform whose layers nobody pulls.</param>
    public async Task<TestImage> PushAsync(IReadOnlyList<long> layerSizes, bool asDocker = false, bool asIndex = false)
    {
        var name = $"team/image-{Interlocked.Increment(ref _count)}";
        var path = directory.File(name.Replace('/', '-'));
        var layout = OciLayout.OpenOrCreate(path);
        try
        {
            var (manifest, blobs) = await BuildAsync(layout, layerSizes, "amd64");
            var root = manifest;
            if (asIndex)
            {
                var (other, _) = await BuildAsync(layout, [1024], "s390x");
                var index = new OciManifest
                {
                    SchemaVersion = 2,
                    MediaType = OciMediaTypes.Index,
                    Manifests = [manifest with { Platform = new OciPlatform("linux", "amd64") }, other with { Platform = new OciPlatform("linux", "s390x") }],
                };
                root = await AddJsonAsync(layout, OciMediaTypes.Index, index);
            }

            layout.Tag(ImageReference.Parse($"{Registry.Host}/{name}:1"), root);
            var digestFile = directory.File("pushed.digest");
            await ExternalProcess.RunAsync(
                "skopeo",
                [
                    "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false", .. asIndex ? ["--all"] : Array.Empty<string>(), .. asDocker ? ["--format", "v2s2"] : Array.Empty<string>(),
                    "--digestfile", digestFile, $"oci:{path}:{Registry.Host}/{name}:1", $"docker://{registry.LocalAuthority}/{name}:1",
                ],
                on: registry.Machine);
            return new TestImage($"{Registry.Host}/{name}:1", asDocker ? Digest.Parse((await File.ReadAllTextAsync(digestFile)).Trim()) : manifest.Digest, blobs);
        }
        finally
        {
            Directory.Delete(path, recursive: true);
        }
    }

    private static async Task<(OciDescriptor Manifest, IReadOnlyList<OciDescriptor> Blobs)> BuildAsync(OciLayout layout, IReadOnlyList<long> layerSizes, string architecture)
    {
        var layers = new List<OciDescriptor>();
        var diffIds = new List<string>();
        foreach (var (size, index) in layerSizes.Select((size, index) => (size, index)))
        {
            layers.Add(await layout.AddAsync(OciMediaTypes.LayerGzip, async stream => diffIds.Add(await WriteLayerAsync(stream, $"file-{index}", size))));
        }

        var config = await layout.AddAsync(OciMediaTypes.Config, stream => JsonSerializer.SerializeAsync(
            stream,
            new { architecture, os = "linux", rootfs = new { type = "layers", diff_ids = diffIds } }));
        var manifest = await AddJsonAsync(
            layout, OciMediaTypes.Manifest, new OciManifest { SchemaVersion = 2, MediaType = OciMediaTypes.Manifest, Config = config, Layers = layers });
        return (manifest, [config, .. layers]);
    }

    private static Task<OciDescriptor> AddJsonAsync(OciLayout layout, string mediaType, OciManifest manifest) =>
        layout.AddAsync(mediaType, stream => JsonSerializer.SerializeAsync(stream, manifest, OciJson.Default.OciManifest));

    /// <summary>Writes a gzipped tar archive with one file, and returns its diff id: the digest of the archive before compression.</summary>
    private static async Task<string> WriteLayerAsync(Stream stream, string name, long size)
    {
        using var sha256 = SHA256.Create();
        await using (var gzip = new GZipStream(stream, CompressionLevel.NoCompression, leaveOpen: true))
        await using (var hashed = new CryptoStream(gzip, sha256, CryptoStreamMode.Write))
        await using (var content = new RandomContent(size))
        await using (var tar = new TarWriter(hashed, TarEntryFormat.Ustar, leaveOpen: true))
        {
            await tar.WriteEntryAsync(new UstarTarEntry(TarEntryType.RegularFile, name) { DataStream = content });
        }

        return Digest.FromHash(HashAlgorithmName.SHA256, sha256.Hash).ToString();
    }

    /// <summary>Random bytes of a given length, one random chunk over and over with a counter in it.</summary>
    private sealed class RandomContent(long length) : Stream
    {
        private readonly byte[] _chunk = RandomNumberGenerator.GetBytes(Chunk);

        public override bool CanRead => true;

        public override bool CanSeek => true;

        public override bool CanWrite => false;

        public override long Length => length;

        public override long Position { get; set; }

        public override int Read(byte[] buffer, int offset, int count)
        {
            var within = (int)(Position % Chunk);
            if (within == 0)
            {
                BitConverter.TryWriteBytes(_chunk, Position);
            }

            var read = (int)Math.Min(Math.Min(count, Chunk - within), length - Position);
            _chunk.AsSpan(within, read).CopyTo(buffer.AsSpan(offset));
            Position += read;
            return read;
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush()
        {
        }
    }
}
