using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Discovery.OciLayout;

/// <summary>An OCI image layout in place of a containerd (section <c>OciLayout</c>).</summary>
internal sealed class OciLayoutOptions : IValidatedOptions
{
    /// <summary>The section's name.</summary>
    public const string Section = "OciLayout";

    /// <summary>The layout's directory, which holds <c>blobs</c> and <c>index.json</c>.</summary>
    public string Path { get; set; } = "";

    /// <inheritdoc/>
    public IEnumerable<string> Problems()
    {
        if (!Directory.Exists(Path))
        {
            yield return $"OciLayout:Path is '{Path}': give the directory of an OCI image layout; there is no such directory.";
        }
    }
}
