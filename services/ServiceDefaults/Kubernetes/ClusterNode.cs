using SpegelDapr.Contracts;

namespace SpegelDapr.ServiceDefaults.Kubernetes;

/// <summary>A node as Kubernetes describes it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Region">The value of its region label; null when it has none.</param>
/// <param name="Zone">The value of its zone label; null when it has none.</param>
/// <param name="IsReady">Whether its <c>Ready</c> condition is <c>True</c>, and neither <c>False</c> nor <c>Unknown</c>.</param>
public sealed record ClusterNode(NodeName Name, string? Region, string? Zone, bool IsReady)
{
    /// <summary>Where it is: <c>default</c> for each label that is missing.</summary>
    public Location Location { get; } = Location.FromLabels(Region, Zone);
}

/// <summary>All nodes at one moment.</summary>
/// <param name="Nodes">The nodes.</param>
/// <param name="ResourceVersion">The moment, from which they can be watched.</param>
public sealed record ClusterNodeList(IReadOnlyList<ClusterNode> Nodes, string ResourceVersion);

/// <summary>What has become of a node.</summary>
/// <param name="ResourceVersion">The moment, from which the watch can be resumed.</param>
/// <param name="Node">The node; null when nothing has changed and only time has passed.</param>
/// <param name="IsDeleted">Whether it does not exist any more.</param>
public sealed record ClusterNodeChange(string ResourceVersion, ClusterNode? Node, bool IsDeleted);
