using System.Collections.Frozen;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults.Kubernetes;

namespace SpegelDapr.Resolver.Nodes;

/// <summary>Why a node's lease ends.</summary>
internal enum NodeLoss
{
    /// <summary>Kubernetes knows it no longer.</summary>
    Deleted,

    /// <summary>Its <c>Ready</c> condition is <c>False</c> or <c>Unknown</c>.</summary>
    NotReady,
}

/// <summary>
/// The nodes of the cluster as <see cref="NodeWatch"/> last saw them, and what has changed. One at a time changes it; anybody may read
/// <see cref="Locations"/>.
/// </summary>
internal sealed class ClusterNodes
{
    private readonly Dictionary<NodeName, ClusterNode> _nodes = [];
    private volatile FrozenSet<Location> _locations = [];

    /// <summary>
    /// A node has been deleted, is not Ready any more, or is not Ready when it is first seen. A node that stays so is not lost again: its own
    /// heartbeats say more about it than Kubernetes does.
    /// </summary>
    public event Action<ClusterNode, NodeLoss>? Lost;

    /// <summary><see cref="Locations"/> has become another set, which is passed.</summary>
    public event Action<IReadOnlySet<Location>>? LocationsChanged;

    /// <summary>Where nodes are, Ready or not.</summary>
    public IReadOnlySet<Location> Locations => _locations;

    /// <summary>These are all nodes: what is not among them has been deleted.</summary>
    public void Replace(IReadOnlyCollection<ClusterNode> nodes)
    {
        var names = nodes.Select(node => node.Name).ToHashSet();
        foreach (var gone in _nodes.Values.Where(node => !names.Contains(node.Name)).ToList())
        {
            Remove(gone);
        }

        foreach (var node in nodes)
        {
            Put(node);
        }

        UpdateLocations();
    }

    /// <summary>This has become of one node.</summary>
    public void Apply(ClusterNodeChange change)
    {
        if (change.Node is not { } node)
        {
            return;
        }

        var before = _nodes.GetValueOrDefault(node.Name);
        if (change.IsDeleted)
        {
            Remove(node);
        }
        else
        {
            Put(node);
        }

        if (change.IsDeleted || before?.Location != node.Location)
        {
            UpdateLocations();
        }
    }

    private void Put(ClusterNode node)
    {
        var before = _nodes.GetValueOrDefault(node.Name);
        _nodes[node.Name] = node;
        if (!node.IsReady && before is not { IsReady: false })
        {
            Lost?.Invoke(node, NodeLoss.NotReady);
        }
    }

    private void Remove(ClusterNode node)
    {
        _nodes.Remove(node.Name);
        Lost?.Invoke(node, NodeLoss.Deleted);
    }

    private void UpdateLocations()
    {
        var locations = _nodes.Values.Select(node => node.Location).ToFrozenSet();
        if (!locations.SetEquals(_locations))
        {
            _locations = locations;
            LocationsChanged?.Invoke(locations);
        }
    }
}
