using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Leases;

/// <summary>The leases in the state store, which all replicas of the resolver write.</summary>
internal sealed class LeaseBook(
    IHolderStore store,
    DocumentCache cache,
    ConflictBackoff backoff,
    IOptions<ResolverOptions> options,
    TimeProvider time,
    ILogger<LeaseBook> logger)
{
    /// <summary>For how many lease durations the store remembers a node that is silent, so that it can come back without a snapshot.</summary>
    private const int RememberedDurations = 10;

    private readonly TimeSpan _timeToLive = RememberedDurations * options.Value.LeaseDuration;

    /// <summary>The node's lease as it is now; null when the store knows none.</summary>
    /// <exception cref="StoreUnavailableException">The store does not answer.</exception>
    public async Task<Lease?> FindAsync(Location location, NodeName node, CancellationToken cancellation)
    {
        var documents = await store.GetAsync([StoreKeys.Lease(location, node)], cancellation);
        return documents[0].Read(StoreJson.Default.Lease, logger);
    }

    /// <summary>The leases of those of the nodes that have one, as they are now.</summary>
    /// <exception cref="StoreUnavailableException">The store does not answer.</exception>
    public async Task<IReadOnlyDictionary<LeaseHolder, Lease>> FindAsync(IReadOnlyCollection<LeaseHolder> nodes, CancellationToken cancellation)
    {
        var documents = await store.GetAsync([.. nodes.Select(node => StoreKeys.Lease(node.Location, node.Name))], cancellation);
        return nodes
            .Zip(documents, (node, document) => (Node: node, Lease: document.Read(StoreJson.Default.Lease, logger)))
            .Where(found => found.Lease is not null)
            .ToDictionary(found => found.Node, found => found.Lease!);
    }

    /// <summary>The leases of those of the nodes that have one, as they were a moment ago; not before the timestamp <paramref name="since"/>, where it is given.</summary>
    /// <exception cref="StoreUnavailableException">The store does not answer.</exception>
    public async Task<IReadOnlyDictionary<LeaseHolder, Lease>> RecallAsync(
        IEnumerable<LeaseHolder> nodes, CancellationToken cancellation, long? since = null)
    {
        var keys = nodes.Distinct().ToDictionary(node => node, node => StoreKeys.Lease(node.Location, node.Name));
        var leases = await cache.GetAsync(keys.Values, StoreJson.Default.Lease, cancellation, since);
        return keys.Where(node => leases.ContainsKey(node.Value)).ToDictionary(node => node.Key, node => leases[node.Value]);
    }

    /// <summary>Replaces the node's lease by what <paramref name="change"/> makes of it, again if another replica comes first.</summary>
    /// <param name="location">Where the node is.</param>
    /// <param name="node">The node.</param>
    /// <param name="change">Makes the new lease; what it is given is null when the store knows none. To change nothing it returns what it is given.</param>
    /// <param name="cancellation">Ends the attempts.</param>
    /// <returns>The lease as it is now.</returns>
    /// <exception cref="StoreUnavailableException">The store does not answer, or others always come first.</exception>
    public async Task<Lease> UpdateAsync(Location location, NodeName node, Func<Lease?, Lease> change, CancellationToken cancellation)
    {
        var key = StoreKeys.Lease(location, node);
        for (var attempt = 1; ; attempt++)
        {
            var stored = (await store.GetAsync([key], cancellation))[0];
            var before = stored.Read(StoreJson.Default.Lease, logger);
            var after = change(before);
            if (ReferenceEquals(before, after) || await store.TrySaveAsync([after.ToWrite(key, StoreJson.Default.Lease, stored.ETag, _timeToLive)], cancellation))
            {
                cache.Set(key, after);
                return after;
            }

            await backoff.WaitAsync(attempt, cancellation);
        }
    }

    /// <summary>Ends the node's lease, if it has one.</summary>
    /// <returns>Whether it counted as alive until now.</returns>
    /// <exception cref="StoreUnavailableException">The store does not answer, or others always come first.</exception>
    public async Task<bool> EndAsync(LeaseHolder node, CancellationToken cancellation)
    {
        if (await FindAsync(node.Location, node.Name, cancellation) is not { } found)
        {
            return false;
        }

        var now = time.GetUtcNow();
        await UpdateAsync(node.Location, node.Name, lease => (lease ?? found).End(now), cancellation);
        return found.IsAlive(now);
    }
}

/// <summary>Whose lease it is.</summary>
/// <param name="Location">Where the node is.</param>
/// <param name="Name">Its name.</param>
internal readonly record struct LeaseHolder(Location Location, NodeName Name);
