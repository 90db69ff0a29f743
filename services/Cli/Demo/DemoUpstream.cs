using SpegelDapr.Cli.Images;
using SpegelDapr.Cli.Pull;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Demo;

/// <summary>What the demo's registry serves.</summary>
/// <param name="Layout">The content.</param>
/// <param name="Manifest">The image in it.</param>
internal sealed record DemoUpstream(OciLayout Layout, OciDescriptor Manifest)
{
    /// <summary>The image's name in the registry.</summary>
    public static ImageReference Image { get; } = ImageReference.Parse("registry.demo/spegel-dapr/demo:latest");

    /// <summary>The first image of the layout at <paramref name="imagePath"/>, or without one an image of this program's own files and the runtime's.</summary>
    /// <exception cref="UserErrorException">There is no image.</exception>
    public static async Task<DemoUpstream> OpenAsync(string? imagePath, DirectoryInfo scratch, CancellationToken cancellationToken)
    {
        if (imagePath is null)
        {
            var own = OciLayout.OpenOrCreate(Path.Combine(scratch.FullName, "upstream"));
            return new DemoUpstream(own, await DemoImage.CreateAsync(own, cancellationToken));
        }

        var layout = OciLayout.Open(imagePath);
        return layout.Images is [var first, ..]
            ? new DemoUpstream(layout, first)
            : throw new UserErrorException($"The image layout '{imagePath}' has no image.");
    }

    /// <summary>What a node must fetch to have the image.</summary>
    /// <exception cref="UserErrorException">The image is not whole, or has nothing for this machine.</exception>
    public DemoContent ReadContent()
    {
        var (bytes, manifest) = (Manifest.Size, Layout.ReadManifest(Manifest.Digest));
        if (manifest.Manifests is { } platforms)
        {
            var chosen = ImagePuller.ChoosePlatform(Image, platforms);
            bytes += chosen.Size;
            manifest = Layout.ReadManifest(chosen.Digest);
        }

        return new DemoContent(
            bytes + manifest.Children.DistinctBy(child => child.Digest).Sum(child => child.Size), [.. (manifest.Layers ?? []).DistinctBy(layer => layer.Digest)]);
    }
}

/// <summary>What an image consists of, for one platform.</summary>
/// <param name="Bytes">All of it, manifests and configuration too.</param>
/// <param name="Layers">The layers, each once.</param>
internal sealed record DemoContent(long Bytes, IReadOnlyList<OciDescriptor> Layers);
