using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Holders;

/// <summary>Who holds what in some zones, as it was a moment ago.</summary>
internal sealed class HolderBook(DocumentCache cache, LeaseBook leases, TimeProvider time)
{
    /// <summary>For each key, the nodes that hold it.</summary>
    /// <exception cref="StoreUnavailableException">The store does not answer.</exception>
    public async Task<ILookup<ContentKey, LiveHolder>> FindAsync(
        IReadOnlyCollection<ContentKey> keys,
        IReadOnlyCollection<Location> locations,
        CancellationToken cancellation)
    {
        var asked = (from key in keys.Distinct() from location in locations select (key, location, Document: StoreKeys.Holders(location, key))).ToList();
        var documents = await cache.GetAsync(asked.Select(ask => ask.Document), StoreJson.Default.HolderDocument, cancellation);
        var entries = asked
            .Where(ask => documents.ContainsKey(ask.Document))
            .SelectMany(ask => documents[ask.Document].Entries.Select(entry => (ask.key, Holder: new LeaseHolder(ask.location, entry.Node), entry)))
            .Where(said => !said.entry.IsRemoved)
            .ToList();
        var known = await leases.RecallAsync(entries.Select(said => said.Holder), cancellation);
        var now = time.GetUtcNow();
        return entries
            .Where(said => known.TryGetValue(said.Holder, out var lease) && said.entry.Counts(lease, now))
            .ToLookup(said => said.key, said => new LiveHolder(known[said.Holder].Node, said.entry.Digest, said.entry.UpdatedAt));
    }
}

/// <summary>A node that is alive and holds a key.</summary>
/// <param name="Node">The node.</param>
/// <param name="Digest">For a tag, the digest it stands for on that node.</param>
/// <param name="UpdatedAt">For a tag, when the node pointed it at that digest.</param>
internal sealed record LiveHolder(NodeIdentity Node, Digest? Digest, DateTimeOffset? UpdatedAt);
