using System.Formats.Tar;
using System.Text;
using System.Text.Json;
using SpegelDapr.Contracts;

namespace SpegelDapr.EndToEnd.Discovery;

/// <summary>A small image: configuration, one layer, manifest.</summary>
internal sealed record LayoutImage(Digest Manifest, Digest Config, IReadOnlyDictionary<Digest, byte[]> Blobs)
{
    private OciDescriptor Descriptor => new(OciMediaTypes.Manifest, Manifest, Blobs[Manifest].Length);

    public IEnumerable<HeldKey> Digests => Blobs.Keys.Select(digest => new HeldKey(digest));

    /// <summary>An image whose layer has <paramref name="text"/> in it.</summary>
    public static LayoutImage Create(string text)
    {
        var blobs = new Dictionary<Digest, byte[]>();
        OciDescriptor Add(string mediaType, byte[] content)
        {
            var digest = Digest.OfSha256(content);
            blobs[digest] = content;
            return new OciDescriptor(mediaType, digest, content.Length);
        }

        var layer = Add("application/vnd.oci.image.layer.v1.tar", Encoding.UTF8.GetBytes(text));
        var config = Add(OciMediaTypes.Config, JsonSerializer.SerializeToUtf8Bytes(
            new { architecture = "amd64", os = "linux", rootfs = new { type = "layers", diff_ids = new[] { layer.Digest.ToString() } } }));
        var manifest = new OciManifest { SchemaVersion = 2, MediaType = OciMediaTypes.Manifest, Config = config, Layers = [layer] };
        return new LayoutImage(Add(OciMediaTypes.Manifest, Json(manifest)).Digest, config.Digest, blobs);
    }

    /// <summary>The JSON of an index.json with these tags.</summary>
    public static byte[] Index(IEnumerable<KeyValuePair<string, LayoutImage>> tags) => Json(new OciManifest
    {
        SchemaVersion = 2,
        MediaType = OciMediaTypes.Index,
        Manifests = [.. tags.Select(tag => tag.Value.Descriptor with { Annotations = new Dictionary<string, string> { [OciDescriptor.RefNameAnnotation] = tag.Key } })],
    });

    /// <summary>Writes an OCI archive, a layout as a tar file, with the image under a name.</summary>
    public async Task WriteArchiveAsync(string path, string name)
    {
        await using var file = File.Create(path);
        await using var tar = new TarWriter(file);
        async Task AddAsync(string entry, byte[] content) =>
            await tar.WriteEntryAsync(new UstarTarEntry(TarEntryType.RegularFile, entry) { DataStream = new MemoryStream(content) });

        await AddAsync("oci-layout", """{"imageLayoutVersion":"1.0.0"}"""u8.ToArray());
        await AddAsync("index.json", Index([KeyValuePair.Create(name, this)]));
        foreach (var (digest, content) in Blobs)
        {
            await AddAsync($"blobs/{digest.Algorithm}/{digest.Hex}", content);
        }
    }

    private static byte[] Json(OciManifest manifest) => JsonSerializer.SerializeToUtf8Bytes(manifest, OciJson.Default.OciManifest);
}
