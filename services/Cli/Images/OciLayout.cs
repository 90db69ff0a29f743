using System.Security.Cryptography;
using System.Text.Json;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Images;

/// <summary>An OCI image layout directory (image-layout.md of the OCI image specification).</summary>
internal sealed class OciLayout
{
    private readonly Lock _index = new();

    private OciLayout(string path) => Path = path;

    /// <summary>The directory.</summary>
    public string Path { get; }

    private string IndexPath => System.IO.Path.Combine(Path, "index.json");

    /// <summary>Opens a layout that exists.</summary>
    /// <exception cref="UserErrorException">The directory is not an image layout.</exception>
    public static OciLayout Open(string path)
    {
        var layout = new OciLayout(System.IO.Path.GetFullPath(path));
        return File.Exists(layout.IndexPath)
            ? layout
            : throw new UserErrorException($"'{path}' is not an OCI image layout: it has no index.json. Make one with: skopeo copy docker://<image> oci:{path}:<tag>");
    }

    /// <summary>Opens a layout, and makes an empty one first where there is none.</summary>
    public static OciLayout OpenOrCreate(string path)
    {
        var layout = new OciLayout(System.IO.Path.GetFullPath(path));
        Directory.CreateDirectory(System.IO.Path.Combine(layout.Path, "blobs", "sha256"));
        if (!File.Exists(layout.IndexPath))
        {
            File.WriteAllText(System.IO.Path.Combine(layout.Path, "oci-layout"), """{"imageLayoutVersion":"1.0.0"}""");
            layout.WriteIndex([]);
        }

        return layout;
    }

    /// <summary>The images of index.json.</summary>
    public IReadOnlyList<OciDescriptor> Images =>
        OciManifest.TryParse(File.ReadAllBytes(IndexPath))?.Manifests
        ?? throw new UserErrorException($"'{IndexPath}' is not an OCI image index.");

    /// <summary>Where the content of a digest is, or would be.</summary>
    public string BlobPath(Digest digest) => System.IO.Path.Combine(Path, "blobs", digest.Algorithm, digest.Hex);

    /// <summary>Reads a manifest.</summary>
    /// <exception cref="UserErrorException">It is not there or is no manifest.</exception>
    public OciManifest ReadManifest(Digest digest) =>
        File.Exists(BlobPath(digest)) && OciManifest.TryParse(File.ReadAllBytes(BlobPath(digest))) is { } manifest
            ? manifest
            : throw new UserErrorException($"The image layout '{Path}' has no manifest {digest}.");

    /// <summary>Adds content that <paramref name="write"/> writes to a stream. It appears by rename, when it is complete.</summary>
    public async Task<OciDescriptor> AddAsync(string mediaType, Func<Stream, Task> write)
    {
        var partial = PartialPath();
        try
        {
            await using (var file = File.Create(partial))
            {
                await write(file);
            }

            await using var written = File.OpenRead(partial);
            var digest = Digest.FromHash(HashAlgorithmName.SHA256, await SHA256.HashDataAsync(written));
            Commit(partial, digest);
            return new OciDescriptor(mediaType, digest, written.Length);
        }
        finally
        {
            File.Delete(partial);
        }
    }

    /// <summary>Makes a complete file the content of its digest, whose hash the caller has checked.</summary>
    public void Commit(string partial, Digest digest)
    {
        var path = BlobPath(digest);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        File.Move(partial, path, overwrite: true);
    }

    /// <summary>Points a reference at a manifest that the layout has.</summary>
    public void Tag(ImageReference reference, OciDescriptor manifest)
    {
        lock (_index)
        {
            var name = reference.ToString();
            var named = manifest with { Annotations = new Dictionary<string, string> { [OciDescriptor.RefNameAnnotation] = name } };
            WriteIndex([.. Images.Where(image => image.Annotations?.GetValueOrDefault(OciDescriptor.RefNameAnnotation) != name), named]);
        }
    }

    private string PartialPath() => System.IO.Path.Combine(Path, System.IO.Path.GetRandomFileName() + ".partial");

    private void WriteIndex(IReadOnlyList<OciDescriptor> images)
    {
        var index = new OciManifest { SchemaVersion = 2, MediaType = OciMediaTypes.Index, Manifests = images };
        var partial = PartialPath();
        File.WriteAllBytes(partial, JsonSerializer.SerializeToUtf8Bytes(index, OciJson.Default.OciManifest));
        File.Move(partial, IndexPath, overwrite: true);
    }
}
