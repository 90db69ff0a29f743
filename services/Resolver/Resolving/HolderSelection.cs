using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Holders;

namespace SpegelDapr.Resolver.Resolving;

/// <summary>Chooses whom a node is told to fetch from.</summary>
internal static class HolderSelection
{
    /// <summary>
    /// The answer for one key: the nearest holders first, and those that are equally near in random order, so that the load spreads. A tag
    /// stands for the digest that a node has most recently pointed it at, and only nodes that agree hold it.
    /// </summary>
    /// <param name="key">The key.</param>
    /// <param name="holders">Who holds it, the asking node included.</param>
    /// <param name="asker">Who asks.</param>
    /// <param name="from">Where the asker is.</param>
    /// <param name="random">Orders those that are equally near.</param>
    public static ResolvedKey Choose(ContentKey key, IEnumerable<LiveHolder> holders, NodeName asker, Location from, Random random)
    {
        var all = holders.ToArray();
        var digest = key.IsTag ? Latest(all) : null;
        var candidates = all.Where(holder => holder.Node.Name != asker && holder.Digest == digest).ToArray();
        random.Shuffle(candidates);
        return new ResolvedKey(
            key,
            [.. candidates.Select(holder => new Holder(holder.Node, from.TierTo(holder.Node.Location))).OrderBy(holder => holder.Tier).Take(ResolvedKey.MaxHolders)],
            digest);
    }

    /// <summary>The digest of the latest holder. Of two at the same time the answer must be the same each time.</summary>
    private static Digest? Latest(LiveHolder[] holders) => holders
        .OrderByDescending(holder => holder.UpdatedAt ?? DateTimeOffset.MinValue)
        .ThenBy(holder => holder.Digest?.ToString(), StringComparer.Ordinal)
        .FirstOrDefault()?.Digest;
}
