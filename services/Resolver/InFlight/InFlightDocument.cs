using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver.InFlight;

/// <summary>
/// Who is fetching some content in a zone, and whom each of them follows. Of many nodes it is a sample by which any number can be placed: those where the
/// content enters, and those that have a place left for a follower.
/// </summary>
/// <param name="Nodes">
/// The nodes in the order in which they have asked, at most one entry each, with those that they follow and that have the content complete. One whose parent
/// has no entry follows none.
/// </param>
internal sealed record InFlightDocument(IReadOnlyList<InFlightNode> Nodes)
{
    /// <summary>How long a node counts as in flight after it has asked.</summary>
    public static readonly TimeSpan CountsFor = TimeSpan.FromMinutes(10);

    /// <summary>
    /// How soon a node that asks again is asking the same: a blob whose question is late asks another replica as well, and goes by the first answer,
    /// so both must be the same, or it would follow another node than is recorded.
    /// </summary>
    public static readonly TimeSpan RepeatsFor = TimeSpan.FromSeconds(2);

    /// <summary>The most nodes of a document.</summary>
    public const int MostNodes = 128;

    /// <summary>
    /// How many nodes follow one another before each feeds two, and how deep a node may be as long as there is another place. In a chain each link carries the
    /// content once, and all have it almost at once; but each node more adds to the time that a byte takes, and to those that a break concerns.
    /// </summary>
    public const int MostDepth = 32;

    /// <summary>How many nodes lead at once: a second one when the first is slow.</summary>
    public const int MostLeads = 2;

    /// <summary>
    /// How many times as many nodes follow one when more than <see cref="MostDepth"/> are in flight. One of them has to feed two then, which halves the rate of
    /// all behind it. When others do so as well it costs nothing more, and keeps the tree flat: fewer nodes are behind each one that is slow or gone.
    /// </summary>
    private const int TimesWhenMany = 2;

    /// <summary>The most nodes of a document that can feed nobody more. One that asks again may have no others before it.</summary>
    private const int MostFull = MostNodes / 4;

    /// <summary>A slow node gives less than one that feeds this number too many.</summary>
    private const int MostBeforeSlow = 6;

    /// <summary>Places whose depths differ by less count as equal where several replicas might take the best one at the same time.</summary>
    private const int DepthOfChoice = 8;

    /// <summary>Content that nobody fetches.</summary>
    public static InFlightDocument Empty { get; } = new([]);

    /// <summary>The document without those that no longer count.</summary>
    public InFlightDocument At(DateTimeOffset now) => new([.. Nodes.Where(node => Counts(node, now))]);

    /// <summary>Whether a node is in it.</summary>
    public bool Has(NodeName node) => Nodes.Any(known => known.Node == node);

    /// <summary>
    /// The document with what another replica has decided alone: what has become of <paramref name="before"/>, which both had, in <paramref name="after"/>. A
    /// node that is between two that this document has is left out between them.
    /// </summary>
    public InFlightDocument With(InFlightDocument before, InFlightDocument after, int mostFollowers)
    {
        var stored = Nodes.DistinctBy(node => node.Node).ToDictionary(node => node.Node);
        var known = before.Nodes.DistinctBy(node => node.Node).ToDictionary(node => node.Node);
        var theirs = after.Nodes.DistinctBy(node => node.Node).ToDictionary(node => node.Node);
        var added = after.Nodes.Where(node => !known.TryGetValue(node.Node, out var earlier) || earlier.Since != node.Since).ToArray();
        var names = added.Concat(Nodes).Select(node => node.Node).ToHashSet();
        List<InFlightNode> merged = [.. Nodes.ExceptBy(added.Select(node => node.Node), node => node.Node).Select(WithFollowers), .. added.Select(Linked)];
        foreach (var left in merged.Where(node => HasLeft(node)).ToArray())
        {
            LeaveOut(merged, left.Node);
        }

        return new InFlightDocument(Sample(merged, FromRoots(FollowersIn(merged)).ToDictionary(found => found.Node, found => found.Depth), mostFollowers));

        // One that has asked again meanwhile is another entry.
        bool HasLeft(InFlightNode node) => known.TryGetValue(node.Node, out var earlier) && earlier.Since == node.Since && !theirs.ContainsKey(node.Node);

        InFlightNode WithFollowers(InFlightNode node) => known.TryGetValue(node.Node, out var earlier) && theirs.TryGetValue(node.Node, out var later)
            ? node.WithFollowers(later.Followers - earlier.Followers) with { IsSlow = node.IsSlow || later.IsSlow }
            : node;

        InFlightNode Linked(InFlightNode node)
        {
            for (var i = 0; i < MostNodes && node.Parent is { } parent && !names.Contains(parent) && theirs.TryGetValue(parent, out var above); i++)
            {
                node = node.Over(above);
            }

            // Two replicas may have told a node two places. Those before it by the later one are before it by both.
            if (!stored.TryGetValue(node.Node, out var other))
            {
                return node;
            }

            return node.WithFollowers(other.Followers - (known.TryGetValue(node.Node, out var earlier) ? earlier.Followers : 0)) with
            {
                IsSlow = node.IsSlow || other.IsSlow,
                Order = node.Parent is not null && other.Parent is not null ? Math.Max(node.Order, other.Order) : node.Order,
            };
        }
    }

    /// <summary>
    /// Decides whom a node follows. What it has followed in vain no longer counts, for anybody. Those that follow the asker go on doing so, so a node that leads
    /// back to it is never chosen, nor one that began after it and may do so, as far as is remembered. Nodes that have the content complete are followed like
    /// those that lead. A question that is repeated gets the answer that it got, and changes nothing.
    /// </summary>
    /// <param name="question">The question.</param>
    /// <param name="alive">Those of the nodes that are alive.</param>
    /// <param name="elsewhere">What a node has to do with other content.</param>
    /// <param name="mostFollowers">The most nodes that follow the same one while no more than <see cref="MostDepth"/> are in flight.</param>
    /// <param name="now">The time.</param>
    /// <param name="random">Decides between equals.</param>
    /// <param name="shared">Nodes that other replicas may give followers now without this one's knowledge; null for none.</param>
    /// <returns>The document with the asker in it, and the answer.</returns>
    public (InFlightDocument After, FollowAnswer Answer) Follow(
        FollowRequest question,
        IReadOnlyDictionary<NodeName, NodeIdentity> alive,
        Func<NodeName, InFlightLoad> elsewhere,
        int mostFollowers,
        DateTimeOffset now,
        Random random,
        IReadOnlySet<NodeName>? shared = null)
    {
        if (question is { OnlyTells: true, Slow: { } behind })
        {
            return (WithSlow(question.Node, behind, now), new FollowAnswer(question.Digest, 0, Order: question.Order ?? 0));
        }

        var sources = SourcesOf(question, now);
        sources.Remove(question.Node, out var itself);
        var below = FollowersIn(sources.Values, question.Node);
        var depths = FromRoots(below).ToDictionary(found => found.Node, found => found.Depth);
        var parents = depths.Where(found => alive.ContainsKey(found.Key)).ToDictionary();
        var asked = Nodes.FirstOrDefault(node => node.Node == question.Node);
        var declined = (question.Declined ?? []).ToHashSet();
        if (asked is not null && now - asked.Since < RepeatsFor)
        {
            if (asked.Parent is not { } same)
            {
                return (this, new FollowAnswer(question.Digest, 0, Order: asked.Order));
            }

            // When that one has failed or declined since, is slow or is gone, this is another question.
            if (same != question.Slow && !declined.Contains(same) && parents.TryGetValue(same, out var depth))
            {
                return (this, new FollowAnswer(question.Digest, depth + 1, alive[same], asked.Order));
            }
        }

        var order = Known(question.Order) ?? Known(asked?.Order) ?? Nodes.Select(node => node.Order + 1).Append(now.UtcTicks).Max();
        var candidates = parents
            .Where(found => found.Key != question.Slow && !declined.Contains(found.Key))
            .Select(found => new Candidate(sources[found.Key], found.Value, elsewhere(found.Key)))
            .Where(candidate => IsBefore(candidate.Node, order))
            .ToArray();
        random.Shuffle(candidates);
        var times = sources.Count > MostDepth ? TimesWhenMany : 1;
        var parent = candidates.MinBy(Rank);

        // One that has declined may have a place in a moment, which is better than one more copy of what enters the zone.
        parent ??= parents
            .Where(found => declined.Contains(found.Key) && found.Key != question.Slow && IsBefore(sources[found.Key], order))
            .Select(found => new Candidate(sources[found.Key], found.Value, default))
            .MinBy(candidate => candidate.Depth);

        // A slow one is better than one more copy of what enters the zone often enough.
        if (parent is null
            && question.Slow is { } left
            && parents.TryGetValue(left, out var itsDepth)
            && sources.Values.Count(node => node is { Parent: null, IsComplete: false }) >= MostLeads)
        {
            parent = new Candidate(sources[left], itsDepth, default);
        }

        // One that leads is before all others, also before those that were told to follow it when it was not.
        order = parent is null ? Nodes.Select(node => node.Order - 1).Append(-now.UtcTicks).Min() : order;
        var asker = new InFlightNode(
            question.Node, now, parent?.Node.Node, IsSlow: question.Slow == question.Node || (itself?.IsSlow ?? false), Followers: itself?.Followers ?? below[question.Node].Count(node => node.Between == 0), Order: order);
        var after = sources.Values
            .Select(node => node.Node == parent?.Node.Node ? node.WithFollowers(1) : node)
            .Where(node => node is { IsComplete: false } or { Followers: > 0 } or { IsSlow: true });
        return (
            new InFlightDocument(Sample([.. after, asker], depths, mostFollowers)),
            new FollowAnswer(question.Digest, parent?.Depth + 1 ?? 0, parent is null ? null : alive[parent.Node.Node], order));

        // The least is the best.
        (bool, bool, int, bool, bool, bool, (bool, int, int)) Rank(Candidate candidate)
        {
            var isShared = shared?.Contains(candidate.Node.Node) ?? false;
            var tooMany = Math.Max(0, candidate.Node.Followers + 1 - (TimesWhenMany * mostFollowers));

            // One too many holds up all that are behind the same node, of whom there are fewer far from the root.
            var depth = tooMany > 0 ? -candidate.Depth : isShared ? candidate.Depth / DepthOfChoice : candidate.Depth;
            return (
                tooMany > MostBeforeSlow,
                candidate.Node.IsSlow,
                tooMany,
                candidate.IsTooDeep,
                candidate.Node.Followers >= times * mostFollowers,
                !candidate.HasShareLeft(times),
                (isShared, depth, candidate.AllFollowers));
        }
    }

    /// <summary>The document when one is known to be slow, which a node that followed it has left for what feeds it.</summary>
    private InFlightDocument WithSlow(NodeName node, NodeName slow, DateTimeOffset now)
    {
        var (above, asker) = (Nodes.FirstOrDefault(known => known.Node == slow), Nodes.FirstOrDefault(known => known.Node == node));
        var hasMoved = above?.Parent is not null && asker?.Parent == slow;
        return new InFlightDocument([.. Nodes.Select(known =>
            known.Node == slow ? known.WithFollowers(hasMoved && asker!.Between == 0 ? -1 : 0) with { IsSlow = true }
            : !hasMoved ? known
            : known.Node == node ? known with { Parent = above!.Parent, Between = above.Between, Since = now }
            : known.Node == above!.Parent && above.Between == 0 ? known.WithFollowers(1)
            : known)]);
    }

    /// <summary>All that have not failed, with those that the asker knows to have the content complete; the asker follows nobody any more.</summary>
    private OrderedDictionary<NodeName, InFlightNode> SourcesOf(FollowRequest question, DateTimeOffset now)
    {
        var sources = new OrderedDictionary<NodeName, InFlightNode>();
        var left = new List<InFlightNode>();
        foreach (var node in Nodes.DistinctBy(node => node.Node))
        {
            var isGone = !Counts(node, now) || question.Failed.Contains(node.Node);
            if (isGone || node.Node == question.Node)
            {
                left.Add(node);
            }

            if (!isGone)
            {
                sources.Add(node.Node, node.Node == question.Slow ? node with { IsSlow = true } : node);
            }
        }

        foreach (var parent in left.Where(node => node is { Parent: not null, Between: 0 }).Select(node => node.Parent!.Value).Where(sources.ContainsKey))
        {
            sources[parent] = sources[parent].WithFollowers(-1);
        }

        foreach (var holder in (question.Holders ?? []).Where(holder => holder != question.Node && !question.Failed.Contains(holder)))
        {
            sources[holder] = sources.TryGetValue(holder, out var known)
                ? known with { Parent = null, Between = 0, IsComplete = true }
                : new InFlightNode(holder, now, IsComplete: true, IsSlow: holder == question.Slow);
        }

        return sources;
    }

    /// <summary>Whether a node is before a place, so that it cannot be fed by one that is there; one that leads is fed by none.</summary>
    private static bool IsBefore(InFlightNode node, long order) => node.Parent is null || node.Order < order;

    /// <summary>Former versions told no place.</summary>
    private static long? Known(long? order) => order is 0 ? null : order;

    private static bool Counts(InFlightNode node, DateTimeOffset now) => now - node.Since < CountsFor;

    /// <summary>The nodes by the one that they follow, or by null; <paramref name="asker"/> is no root, so what leads to it is below none.</summary>
    private static ILookup<NodeName?, InFlightNode> FollowersIn(IReadOnlyCollection<InFlightNode> nodes, NodeName? asker = null)
    {
        var names = nodes.Select(node => node.Node).ToHashSet();
        return nodes.ToLookup(node => node.Parent is { } parent && (names.Contains(parent) || parent == asker) ? node.Parent : null);
    }

    /// <summary>
    /// As many of the nodes as a document holds. Those that can feed nobody more are left out first, but for some, the fewer the later they began; and of the
    /// others the deepest. What is below one that is left out counts as following its parent over it, and so remains below all that feed it.
    /// </summary>
    /// <param name="nodes">The nodes, of which some are removed.</param>
    /// <param name="depths">How deep each is; one whose depth is not known stays.</param>
    /// <param name="mostFollowers">As in <see cref="Follow"/>.</param>
    private static List<InFlightNode> Sample(List<InFlightNode> nodes, Dictionary<NodeName, int> depths, int mostFollowers)
    {
        if (nodes.Count <= MostNodes)
        {
            return nodes;
        }

        nodes.RemoveAll(node => node is { IsComplete: true, Followers: 0 });
        var below = nodes.Where(node => depths.GetValueOrDefault(node.Node) > 0).ToLookup(IsFull);
        var full = below[true].OrderBy(node => node.Order).ToList();
        var others = below[false].ToList();
        while (nodes.Count > MostNodes)
        {
            LeaveOut(nodes, (full.Count > MostFull || (others.Count == 0 && full.Count > 0) ? TakeClosest(full) : TakeDeepest()).Node);
        }

        return nodes;

        InFlightNode TakeDeepest()
        {
            var deepest = others.MaxBy(node => depths[node.Node]) ?? nodes[0];
            others.Remove(deepest);
            return deepest;
        }

        bool IsFull(InFlightNode node) => node.IsSlow || depths[node.Node] >= MostDepth || node.Followers >= TimesWhenMany * mostFollowers;
    }

    /// <summary>Takes out the node that has another nearest before it, where what is early counts as farther apart.</summary>
    private static InFlightNode TakeClosest(List<InFlightNode> inOrder)
    {
        var closest = Enumerable.Range(1, inOrder.Count - 1).DefaultIfEmpty(0).MinBy(i => Place(i) - Place(Math.Max(0, i - 1)));
        var taken = inOrder[closest];
        inOrder.RemoveAt(closest);
        return taken;

        double Place(int i) => Math.Sqrt(inOrder[i].Order - inOrder[0].Order);
    }

    private static void LeaveOut(List<InFlightNode> nodes, NodeName name)
    {
        var left = nodes.Find(node => node.Node == name)!;
        nodes.Remove(left);
        for (var i = 0; i < nodes.Count; i++)
        {
            if (nodes[i].Parent == name)
            {
                nodes[i] = nodes[i].Over(left);
            }
        }
    }

    /// <summary>
    /// The nodes with their distance from their root. It reaches neither what leads to the asker, which is no root here, nor a circle that a
    /// document should not have.
    /// </summary>
    private static IEnumerable<(NodeName Node, int Depth)> FromRoots(ILookup<NodeName?, InFlightNode> followers)
    {
        var level = followers[null].Select(node => (node.Node, Depth: 0)).ToList();
        while (level.Count > 0)
        {
            foreach (var found in level)
            {
                yield return found;
            }

            level = [.. level.SelectMany(parent => followers[parent.Node].Select(node => (node.Node, parent.Depth + 1 + node.Between)))];
        }
    }

    private sealed record Candidate(InFlightNode Node, int Depth, InFlightLoad Elsewhere)
    {
        public bool IsTooDeep => Depth >= MostDepth;

        public int AllFollowers => Node.Followers + Elsewhere.Followers;

        /// <summary>Whether it feeds fewer nodes than this number for each content that it receives.</summary>
        public bool HasShareLeft(int times) => AllFollowers < times * (1 + Elsewhere.Digests);
    }
}
