namespace SpegelDapr.Cli.NodeSetup.Preflight;

/// <summary>What is known of containerd and its configuration; null stands for what a source does not tell.</summary>
/// <param name="Source">Where it is known from.</param>
internal sealed record ContainerdSettings(string Source)
{
    /// <summary>What the runtime calls itself when it is containerd.</summary>
    public const string Name = "containerd";

    /// <summary>containerd's directory of content, below its root.</summary>
    private const string ContentDirectory = "io.containerd.content.v1.content";

    /// <summary>The runtime's name.</summary>
    public string? Runtime { get; init; }

    /// <summary>Its version.</summary>
    public string? Version { get; init; }

    /// <summary>The first two numbers of its version.</summary>
    public Version? Number => Version?.TrimStart('v').Split('.') is [var majorText, var minorText, ..] && int.TryParse(majorText, out var major) && int.TryParse(minorText, out var minor)
        ? new Version(major, minor)
        : null;

    /// <summary>Whether its CRI plugin, through which the kubelet pulls, is switched off.</summary>
    public bool? IsCriDisabled { get; init; }

    /// <summary>Where it reads what concerns images.</summary>
    public ImageTables? Tables { get; init; }

    /// <summary>The CRI plugin's directories of registries, with colons between them; empty when none is set.</summary>
    public string? ConfigPath { get; init; }

    /// <summary>A place where <c>config_path</c> is set and not read, and the one where it is read.</summary>
    public (string Here, string There)? Misplaced { get; init; }

    /// <summary>
    /// Whether the CRI plugin pulls images itself, once it keeps layers, and does not have its transfer service do it, which is the default since 2.1;
    /// null where a configuration can be that of an earlier one.
    /// </summary>
    public bool? PullsLocally { get; init; }

    /// <summary>Whether layers are deleted once they are unpacked.</summary>
    public bool? DiscardsUnpackedLayers { get; init; }

    /// <summary>Whether it has <c>registry.mirrors</c>, with which and <c>config_path</c> the CRI plugin does not start.</summary>
    public bool? HasMirrors { get; init; }

    /// <summary>Whether it has <c>tls</c> in <c>registry.configs</c>, which is as bad before 2.0 and is never so from then on.</summary>
    public bool? HasTls { get; init; }

    /// <summary>The directory in which it keeps everything.</summary>
    public string? Root { get; init; }

    /// <summary>The directory that holds <c>blobs</c>.</summary>
    public string? ContentPath => Root is null ? null : Path.Combine(Root, ContentDirectory);

    /// <summary>This, and what only the other source tells.</summary>
    public ContainerdSettings CompletedBy(ContainerdSettings other) => this with
    {
        Source = $"{Source}, {other.Source}",
        IsCriDisabled = IsCriDisabled ?? other.IsCriDisabled,
        Tables = Tables ?? other.Tables,
        ConfigPath = ConfigPath ?? other.ConfigPath,
        Misplaced = ConfigPath is null ? other.Misplaced : Misplaced,
        PullsLocally = PullsLocally ?? other.PullsLocally,
        DiscardsUnpackedLayers = DiscardsUnpackedLayers ?? other.DiscardsUnpackedLayers,
        HasMirrors = HasMirrors ?? other.HasMirrors,
        HasTls = HasTls ?? other.HasTls,
        Root = Root ?? other.Root,
    };
}
