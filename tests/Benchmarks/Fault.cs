using System.Globalization;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.Benchmarks;

/// <summary>What can go wrong in the middle of a storm.</summary>
internal enum FaultKind
{
    /// <summary>A node's blob dies, and is started again later.</summary>
    BlobKilled,

    /// <summary>A node is cut off from all others: so briefly that connections survive it.</summary>
    LinkCut,

    /// <summary>A zone is cut off from the others and from Redis.</summary>
    ZoneCut,

    /// <summary>A node's link has a tenth of its rate.</summary>
    LinkSlow,

    /// <summary>There is no space left where a node's containerd keeps what it downloads.</summary>
    DiskFull,

    /// <summary>A layer of a node that has the image is not as it was.</summary>
    CopyCorrupt,

    /// <summary>A zone's resolver dies, and is started again.</summary>
    ResolverKilled,
}

/// <summary>One thing that goes wrong.</summary>
/// <param name="Kind">What.</param>
/// <param name="Node">The node that it strikes.</param>
/// <param name="At">How long after the first pull has begun.</param>
/// <param name="For">How long until it is mended.</param>
/// <param name="Bytes">What is left of a full disk, or where a copy is corrupt.</param>
internal sealed record Fault(FaultKind Kind, Node Node, TimeSpan At, TimeSpan For, long Bytes)
{
    /// <summary>Whether it strikes all of a node's zone.</summary>
    public bool IsOfZone => Kind is FaultKind.ZoneCut or FaultKind.ResolverKilled;

    /// <summary>What it is called.</summary>
    public static string Name(FaultKind kind) => kind switch
    {
        FaultKind.BlobKilled => "blob killed",
        FaultKind.LinkCut => "link cut",
        FaultKind.ZoneCut => "zone cut off",
        FaultKind.LinkSlow => "link slow",
        FaultKind.DiskFull => "disk full",
        FaultKind.CopyCorrupt => "copy corrupt",
        _ => "resolver killed",
    };

    /// <inheritdoc/>
    public override string ToString()
    {
        var where = IsOfZone ? Node.Identity.Location.Zone : Node.Identity.Name.ToString();
        return string.Create(CultureInfo.InvariantCulture, $"{where} {Name(Kind)} at {At.TotalSeconds:0.0} s")
            + (Kind == FaultKind.CopyCorrupt ? "" : string.Create(CultureInfo.InvariantCulture, $" for {For.TotalSeconds:0.0} s"));
    }
}
