using System.Text.Json;
using System.Text.Json.Serialization;

namespace SpegelDapr.Contracts;

/// <summary>Media types of manifests, of the OCI image specification and of Docker's image manifest version 2, schema 2.</summary>
public static class OciMediaTypes
{
    /// <summary>An OCI image index.</summary>
    public const string Index = "application/vnd.oci.image.index.v1+json";

    /// <summary>An OCI image manifest.</summary>
    public const string Manifest = "application/vnd.oci.image.manifest.v1+json";

    /// <summary>A Docker manifest list.</summary>
    public const string DockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json";

    /// <summary>A Docker schema 2 manifest.</summary>
    public const string DockerManifest = "application/vnd.docker.distribution.manifest.v2+json";

    /// <summary>An OCI image configuration.</summary>
    public const string Config = "application/vnd.oci.image.config.v1+json";

    /// <summary>A Docker image configuration.</summary>
    public const string DockerConfig = "application/vnd.docker.container.image.v1+json";

    /// <summary>A layer as a gzipped tar archive.</summary>
    public const string LayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";

    /// <summary>All manifest types, for an Accept header.</summary>
    public static IReadOnlyList<string> Manifests { get; } = [Index, Manifest, DockerManifestList, DockerManifest];
}

/// <summary>A descriptor of the OCI image specification: what some content is, by digest and size.</summary>
/// <param name="MediaType">The content's media type.</param>
/// <param name="Digest">The content's digest.</param>
/// <param name="Size">The content's size in bytes.</param>
public sealed record OciDescriptor(string MediaType, Digest Digest, long Size)
{
    /// <summary>In an index, the platform of the manifest it points to.</summary>
    public OciPlatform? Platform { get; init; }

    /// <summary>In an answer to who refers to a manifest, what kind of thing the one that refers is, such as a signature.</summary>
    public string? ArtifactType { get; init; }

    /// <summary>Annotations, such as <see cref="RefNameAnnotation"/>.</summary>
    public IReadOnlyDictionary<string, string>? Annotations { get; init; }

    /// <summary>The annotation that names a descriptor in an image layout's index.json.</summary>
    public const string RefNameAnnotation = "org.opencontainers.image.ref.name";
}

/// <summary>The platform of an image: Go's names of the operating system and of the architecture.</summary>
/// <param name="Os">As in <c>linux</c>.</param>
/// <param name="Architecture">As in <c>amd64</c>.</param>
/// <param name="Variant">As in <c>v8</c>.</param>
public sealed record OciPlatform(string Os, string Architecture, string? Variant = null);

/// <summary>
/// A manifest of any kind in <see cref="OciMediaTypes.Manifests"/>: an index has <see cref="Manifests"/>, an image has <see cref="Config"/> and <see cref="Layers"/>.
/// </summary>
public sealed record OciManifest
{
    /// <summary>The longest manifest that is read: 4 MiB, which the OCI distribution specification asks registries to accept at least.</summary>
    public const int MaxBytes = 4 * 1024 * 1024;

    /// <summary>Always 2.</summary>
    public int SchemaVersion { get; init; }

    /// <summary>The manifest's own media type; an OCI manifest may leave it out.</summary>
    public string? MediaType { get; init; }

    /// <summary>An index's manifests.</summary>
    public IReadOnlyList<OciDescriptor>? Manifests { get; init; }

    /// <summary>An image's configuration.</summary>
    public OciDescriptor? Config { get; init; }

    /// <summary>An image's layers, from the bottom.</summary>
    public IReadOnlyList<OciDescriptor>? Layers { get; init; }

    /// <summary>What kind of thing the manifest is if it is no image, such as a signature; null when its configuration's media type says so.</summary>
    public string? ArtifactType { get; init; }

    /// <summary>The manifest that it refers to, as a signature does; most refer to none.</summary>
    public OciDescriptor? Subject { get; init; }

    /// <summary>The manifest's own annotations.</summary>
    public IReadOnlyDictionary<string, string>? Annotations { get; init; }

    /// <summary>The media type that the manifest says it has, or else the one its members tell; null when it is no manifest.</summary>
    [JsonIgnore]
    public string? EffectiveMediaType => this switch
    {
        { SchemaVersion: not 2 } => null,
        { MediaType: not null } => OciMediaTypes.Manifests.Contains(MediaType) ? MediaType : null,
        { Manifests: not null } => OciMediaTypes.Index,
        { Config: not null, Layers: not null } => OciMediaTypes.Manifest,
        _ => null,
    };

    /// <summary>All that the manifest consists of: an index's manifests, or an image's configuration and layers.</summary>
    [JsonIgnore]
    public IEnumerable<OciDescriptor> Children => [.. Manifests ?? [], .. Config is null ? [] : (OciDescriptor[])[Config], .. Layers ?? []];

    /// <summary>Parses a manifest; null when the JSON is not one.</summary>
    public static OciManifest? TryParse(ReadOnlySpan<byte> json)
    {
        try
        {
            // The serializer lets null be an element of a list whose type has none.
            return JsonSerializer.Deserialize(json, OciJson.Default.OciManifest) is { EffectiveMediaType: not null } manifest
                && manifest.Children.All(child => child is not null)
                    ? manifest
                    : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

/// <summary>The JSON of manifests and of an image layout's <c>index.json</c>.</summary>
[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(OciManifest))]
public sealed partial class OciJson : JsonSerializerContext;
