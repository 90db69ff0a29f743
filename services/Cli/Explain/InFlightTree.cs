using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Explain;

/// <summary>How the nodes that fetch some content at the same time are written for people.</summary>
internal static class InFlightTree
{
    /// <summary>
    /// A line for each node, below and right of the node that it follows. One whose parent is not in flight any more, or that cannot be reached
    /// from one that leads, begins at the left.
    /// </summary>
    public static IEnumerable<string> Lines(IReadOnlyList<InFlightNode> nodes)
    {
        var names = nodes.Select(node => node.Node).ToHashSet();
        var followers = nodes.ToLookup(node => node.Parent);
        var written = new HashSet<NodeName>();
        return nodes
            .Where(node => node.Parent is not { } parent || !names.Contains(parent))
            .Concat(nodes)
            .SelectMany(node => Below(node, ""))
            .ToList();

        IEnumerable<string> Below(InFlightNode node, string indent) =>
            written.Add(node.Node)
                ? followers[node.Node].SelectMany(follower => Below(follower, indent + "  ")).Prepend(indent + Relation(node))
                : [];
    }

    /// <summary>What a node does, as in <c>node-a2 follows node-a1</c>.</summary>
    public static string Relation(InFlightNode node) => 
        node.IsComplete ? $"{node.Node} has it"
        : node is { Parent: { } parent, Between: > 0 } ? $"{node.Node} follows {parent} over {node.Between} others"
        : node.Parent is { } direct ? $"{node.Node} follows {direct}"
        : $"{node.Node} leads";
}
