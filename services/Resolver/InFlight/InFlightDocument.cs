using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver.InFlight;

/// <summary>Who is fetching some content in a zone, and whom each of them follows.</summary>
/// <param name="Nodes">The nodes in the order in which they have asked, at most one entry each. A parent without an entry counts as none.</param>
internal sealed record InFlightDocument(IReadOnlyList<InFlightNode> Nodes)
{
    /// <summary>How long a node counts as in flight after it has asked.</summary>
    public static readonly TimeSpan CountsFor = TimeSpan.FromMinutes(10);

    /// <summary>
    /// How soon a node that asks again is asking the same: a blob whose question is late asks another replica as well, and goes by the first answer,
    /// so both must be the same, or it would follow another node than is recorded.
    /// </summary>
    public static readonly TimeSpan RepeatsFor = TimeSpan.FromSeconds(2);

    /// <summary>The most nodes of a document; whoever asks then is answered but not recorded.</summary>
    public const int MostNodes = 512;

    /// <summary>How many nodes lead at once: a second one when the first is slow.</summary>
    public const int MostLeads = 2;

    /// <summary>Content that nobody fetches.</summary>
    public static InFlightDocument Empty { get; } = new([]);

    /// <summary>The document without those that no longer count.</summary>
    public InFlightDocument At(DateTimeOffset now) => new([.. Nodes.Where(node => now - node.Since < CountsFor)]);

    /// <summary>
    /// Decides whom a node follows. What it has followed in vain no longer counts, for anybody. Whoever follows the asker goes on doing so, so a
    /// node that leads back to the asker is never chosen. Nodes that have the content complete are followed like those that lead. A question that is
    /// repeated gets the answer that it got, and changes nothing.
    /// </summary>
    /// <param name="question">The question.</param>
    /// <param name="alive">Those of the nodes that are alive.</param>
    /// <param name="elsewhere">What a node has to do with other content.</param>
    /// <param name="mostFollowers">The most nodes that follow the same one.</param>
    /// <param name="now">The time.</param>
    /// <param name="random">Decides between equals.</param>
    /// <returns>The document with the asker in it, and the answer.</returns>
    public (InFlightDocument After, FollowAnswer Answer) Follow(
        FollowRequest question,
        IReadOnlyDictionary<NodeName, NodeIdentity> alive,
        Func<NodeName, InFlightLoad> elsewhere,
        int mostFollowers,
        DateTimeOffset now,
        Random random)
    {
        var others = At(now).Nodes
            .Where(node => node.Node != question.Node && !question.Failed.Contains(node.Node))
            .DistinctBy(node => node.Node)
            .Select(node => node.Node == question.Slow ? node with { IsSlow = true } : node)
            .ToArray();
        var holders = (question.Holders ?? []).Where(holder => holder != question.Node && !question.Failed.Contains(holder)).ToHashSet();
        var sources = holders.Select(holder => new InFlightNode(holder, now)).Concat(others.Where(node => !holders.Contains(node.Node))).ToArray();
        var names = sources.Select(node => node.Node).Append(question.Node).ToHashSet();
        var followers = sources.ToLookup(node => node.Parent is { } parent && names.Contains(parent) ? node.Parent : null);
        var parents = FromRoots(followers).Where(found => alive.ContainsKey(found.Node)).ToDictionary(found => found.Node, found => found.Depth);
        if (Nodes.FirstOrDefault(node => node.Node == question.Node && now - node.Since < RepeatsFor) is { } told)
        {
            if (told.Parent is not { } same)
            {
                return (this, new FollowAnswer(question.Digest, 0));
            }

            // When that one has failed since, is slow or is gone, this is another question.
            if (same != question.Slow && parents.TryGetValue(same, out var depth))
            {
                return (this, new FollowAnswer(question.Digest, depth + 1, alive[same]));
            }
        }

        var candidates = parents
            .Select(found => new Candidate(found.Key, found.Value, followers[found.Key].Count(), elsewhere(found.Key)))
            .Where(candidate => candidate.Node != question.Slow && candidate.Followers < mostFollowers)
            .ToArray();
        var slow = sources.Where(node => node.IsSlow).Select(node => node.Node).ToHashSet();
        random.Shuffle(candidates);
        var parent = candidates.MinBy(candidate => (slow.Contains(candidate.Node), !candidate.HasShareLeft, candidate.Depth, candidate.AllFollowers));

        // A slow one is better than one more copy of what enters the zone often enough.
        if (parent is null && question.Slow is { } left && parents.TryGetValue(left, out var itsDepth) && others.Count(node => node.Parent is null) >= MostLeads)
        {
            parent = new Candidate(left, itsDepth, 0, default);
        }

        var asker = new InFlightNode(question.Node, now, parent?.Node);
        return (
            new InFlightDocument(others.Length < MostNodes ? [.. others, asker] : others),
            parent is null ? new FollowAnswer(question.Digest, 0) : new FollowAnswer(question.Digest, parent.Depth + 1, alive[parent.Node]));
    }

    /// <summary>
    /// The nodes with their distance from their root. It reaches neither what leads to the asker, which is no root here, nor a circle that a
    /// document should not have.
    /// </summary>
    private static IEnumerable<(NodeName Node, int Depth)> FromRoots(ILookup<NodeName?, InFlightNode> followers)
    {
        var level = followers[null].ToList();
        for (var depth = 0; level.Count > 0; depth++)
        {
            foreach (var node in level)
            {
                yield return (node.Node, depth);
            }

            level = [.. level.SelectMany(node => followers[node.Node])];
        }
    }

    private sealed record Candidate(NodeName Node, int Depth, int Followers, InFlightLoad Elsewhere)
    {
        public int AllFollowers => Followers + Elsewhere.Followers;

        /// <summary>Whether it sends less often than it receives.</summary>
        public bool HasShareLeft => AllFollowers < 1 + Elsewhere.Digests;
    }
}

/// <summary>What a node has to do.</summary>
/// <param name="Digests">How many contents it fetches.</param>
/// <param name="Followers">How many nodes follow it in all.</param>
internal readonly record struct InFlightLoad(int Digests, int Followers)
{
    /// <summary>Both together.</summary>
    public static InFlightLoad operator +(InFlightLoad one, InFlightLoad other) => new(one.Digests + other.Digests, one.Followers + other.Followers);
}
