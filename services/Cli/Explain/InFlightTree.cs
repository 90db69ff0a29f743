using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Explain;

/// <summary>How the nodes that fetch some content at the same time are written for people.</summary>
internal static class InFlightTree
{
    /// <summary>
    /// A line for each node, below and right of the node that it follows. One whose parent is not in flight any more, or that cannot be reached
    /// from one that leads, begins at the left.
    /// </summary>
    /// <param name="nodes">The nodes.</param>
    /// <param name="text">What the line says.</param>
    public static IEnumerable<string> Lines(IReadOnlyList<InFlightNode> nodes, Func<InFlightNode, string> text)
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
                ? followers[node.Node].SelectMany(follower => Below(follower, indent + "  ")).Prepend(indent + text(node))
                : [];
    }

    /// <summary>What a node does, as in <c>node-a2 follows node-a1</c>.</summary>
    public static string Relation(InFlightNode node) => 
        node.IsComplete ? $"{node.Node} has it"
        : node is { Parent: { } parent, Between: > 0 } ? $"{node.Node} follows {parent} over {node.Between} others"
        : node.Parent is { } direct ? $"{node.Node} follows {direct}"
        : $"{node.Node} leads";
}
