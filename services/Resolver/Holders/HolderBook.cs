using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Holders;

/// <summary>Who holds what in some zones, as it was a moment ago.</summary>
internal sealed class HolderBook(DocumentCache cache, LeaseBook leases, TimeProvider time)
{
    /// <summary>How long a second look may take. A blob waits half a second in all, also for keys that are known.</summary>
    private static readonly TimeSpan SecondLookBudget = TimeSpan.FromMilliseconds(150);

    /// <summary>
    /// For each key, the nodes that hold it. Nobody holds a key, or another digest of a tag, only by documents that have just been read: one that was
    /// remembered before may be older than an event, or older than its nodes' leases, by which alone its entries then fail.
    /// </summary>
    /// <exception cref="StoreUnavailableException">The store does not answer.</exception>
    public async Task<ILookup<ContentKey, LiveHolder>> FindAsync(
        IReadOnlyCollection<ContentKey> keys,
        IReadOnlyCollection<Location> locations,
        CancellationToken cancellation)
    {
        var justRead = time.GetTimestamp() - (long)(DocumentCache.MissesLive.TotalSeconds * time.TimestampFrequency);
        var asked = keys.Distinct().ToList();
        var said = await ReadAsync(asked, locations, since: null, cancellation);
        var doubtful = Doubtful(asked, said);
        if (doubtful.Count > 0 && await LookAgainAsync(doubtful, locations, justRead, cancellation) is { } again)
        {
            said = [.. said.Where(one => !doubtful.Contains(one.Key)), .. again];
        }

        var now = time.GetUtcNow();
        return said.Where(one => one.Counts(now)).ToLookup(one => one.Key, one => new LiveHolder(one.Lease!.Node, one.Entry.Digest, one.Entry.UpdatedAt));
    }

    /// <summary>
    /// The keys that nobody holds, and the tags of which a live node has said something that its lease does not confirm. Of a document and a lease that
    /// contradict each other the one that may be outdated is forgotten.
    /// </summary>
    private HashSet<ContentKey> Doubtful(List<ContentKey> keys, List<Statement> said)
    {
        var now = time.GetUtcNow();
        var held = said.Where(one => one.Counts(now)).Select(one => one.Key).ToHashSet();
        var contradicted = said.Where(one => one.IsContradicted(now) && (one.Key.IsTag || !held.Contains(one.Key))).ToList();
        foreach (var (key, holder, entry, lease) in contradicted)
        {
            var (document, leaseDocument) = (StoreKeys.Holders(holder.Location, key), StoreKeys.Lease(holder.Location, holder.Name));
            if (entry.Epoch > lease!.Epoch)
            {
                cache.ForgetIfOlder(leaseDocument, document);
            }
            else
            {
                cache.ForgetIfOlder(document, leaseDocument);
            }
        }

        return [.. keys.Where(key => !held.Contains(key)), .. contradicted.Select(one => one.Key)];
    }

    /// <summary>What the store has said since; null when it does not answer, and what is remembered has to do.</summary>
    private async Task<List<Statement>?> LookAgainAsync(
        HashSet<ContentKey> keys, IReadOnlyCollection<Location> locations, long since, CancellationToken cancellation)
    {
        try
        {
            return await ReadAsync(keys, locations, since, cancellation).WaitAsync(SecondLookBudget, time, cancellation);
        }
        catch (Exception e) when (e is StoreUnavailableException or TimeoutException)
        {
            return null;
        }
    }

    private async Task<List<Statement>> ReadAsync(
        IReadOnlyCollection<ContentKey> keys, IReadOnlyCollection<Location> locations, long? since, CancellationToken cancellation)
    {
        var asked = (from key in keys from location in locations select (key, location, Document: StoreKeys.Holders(location, key))).ToList();
        var documents = await cache.GetAsync(asked.Select(ask => ask.Document), StoreJson.Default.HolderDocument, cancellation, since);
        var entries = asked
            .Where(ask => documents.ContainsKey(ask.Document))
            .SelectMany(ask => documents[ask.Document].Entries.Select(entry => (ask.key, Holder: new LeaseHolder(ask.location, entry.Node), entry)))
            .Where(said => !said.entry.IsRemoved)
            .ToList();
        var known = await leases.RecallAsync(entries.Select(said => said.Holder), cancellation, since);
        return [.. entries.Select(said => new Statement(said.key, said.Holder, said.entry, known.GetValueOrDefault(said.Holder)))];
    }

    private sealed record Statement(ContentKey Key, LeaseHolder Holder, HolderEntry Entry, Lease? Lease)
    {
        public bool Counts(DateTimeOffset now) => Lease is not null && Entry.Counts(Lease, now);

        /// <summary>Whether it fails by the epoch or the base of a node that is alive.</summary>
        public bool IsContradicted(DateTimeOffset now) => Lease?.IsAlive(now) == true && !Counts(now);
    }
}

/// <summary>A node that is alive and holds a key.</summary>
/// <param name="Node">The node.</param>
/// <param name="Digest">For a tag, the digest it stands for on that node.</param>
/// <param name="UpdatedAt">For a tag, when the node pointed it at that digest.</param>
internal sealed record LiveHolder(NodeIdentity Node, Digest? Digest, DateTimeOffset? UpdatedAt);
