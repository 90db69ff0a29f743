using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Holders;

/// <summary>
/// Writes what nodes say into the documents of the keys. The nodes of a zone hold the same images, so when they start together their events
/// meet in the same documents: events that come while a write is under way are written together by the next one, and only replicas compete.
/// </summary>
internal sealed class HolderWriter
{
    /// <summary>How long the store keeps a document that nobody writes. Each node repeats all it holds within <see cref="SnapshotEvent.MostAge"/>.</summary>
    public static readonly TimeSpan DocumentTimeToLive = TimeSpan.FromDays(3);

    /// <summary>The most entries that are written at once.</summary>
    private const int MostPerWrite = 4096;

    /// <summary>How long one write may take with all its attempts.</summary>
    private static readonly TimeSpan WriteBudget = TimeSpan.FromSeconds(8);

    private readonly IHolderStore _store;
    private readonly DocumentCache _cache;
    private readonly LeaseBook _leases;
    private readonly ConflictBackoff _backoff;
    private readonly int _mostHolders;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly GatheredWrites<Location, IReadOnlyDictionary<ContentKey, HolderEntry>> _writes;

    public HolderWriter(
        IHolderStore store,
        DocumentCache cache,
        LeaseBook leases,
        ConflictBackoff backoff,
        IOptions<ResolverOptions> options,
        TimeProvider time,
        ILogger<HolderWriter> logger)
    {
        (_store, _cache, _leases, _backoff) = (store, cache, leases, backoff);
        (_mostHolders, _time, _logger) = (options.Value.MaxHoldersPerKey, time, logger);
        _writes = new GatheredWrites<Location, IReadOnlyDictionary<ContentKey, HolderEntry>>(WriteAsync, entries => entries.Count, MostPerWrite, WriteBudget, time);
    }

    /// <summary>Writes one node's entries for these keys.</summary>
    /// <exception cref="StoreUnavailableException">Not all could be written; to repeat it does no harm.</exception>
    public Task WriteAsync(Location location, IReadOnlyDictionary<ContentKey, HolderEntry> entries, CancellationToken cancellation) =>
        _writes.AddAsync(location, entries, cancellation);

    private async Task WriteAsync(Location location, IReadOnlyList<IReadOnlyDictionary<ContentKey, HolderEntry>> batch, CancellationToken cancellation)
    {
        var news = batch
            .SelectMany(entries => entries)
            .GroupBy(said => StoreKeys.Holders(location, said.Key), said => said.Value)
            .ToDictionary(said => said.Key, said => said.ToList());
        for (var attempt = 1; news.Count > 0; attempt++)
        {
            var read = (await _store.GetAsync([.. news.Keys], cancellation))
                .Select(stored => (Stored: stored, Document: stored.Read(StoreJson.Default.HolderDocument, _logger) ?? HolderDocument.Empty))
                .ToLookup(read => read.Document.IsNewsIn(news[read.Stored.Key]));
            var documents = read[true].ToList();
            foreach (var known in read[false])
            {
                // By an attempt that succeeded in part, or by another replica: what is remembered may still be older.
                _cache.Set(known.Stored.Key, known.Document);
            }

            var leases = await FindLeasesAsync(location, [.. documents.Select(read => (read.Document.Entries, news[read.Stored.Key]))], cancellation);
            var now = _time.GetUtcNow();
            var changed = documents
                .Select(read => (read.Stored, read.Document, After: read.Document.With(
                    news[read.Stored.Key], node => leases.GetValueOrDefault(new LeaseHolder(location, node)), now, _mostHolders)))
                .Where(change => !change.After.Entries.SequenceEqual(change.Document.Entries))
                .ToList();
            if (changed.Count == 0 || await _store.TrySaveAsync([.. changed.Select(ToWrite)], cancellation))
            {
                changed.ForEach(change => _cache.Set(change.Stored.Key, change.After));
                return;
            }

            await _backoff.WaitAsync(attempt, cancellation);
            news = changed.ToDictionary(change => change.Stored.Key, change => news[change.Stored.Key]);
        }
    }

    /// <summary>
    /// The leases of all nodes that the documents or the statements speak of. Which of two epochs of a node holds its lease decides; a remembered
    /// one could be older than the later of them, so it is read anew. So is one that is not there: without it the node's entry would be dropped.
    /// </summary>
    private async Task<IReadOnlyDictionary<LeaseHolder, Lease>> FindLeasesAsync(
        Location location,
        IReadOnlyList<(IReadOnlyList<HolderEntry> Entries, List<HolderEntry> Statements)> documents,
        CancellationToken cancellation)
    {
        var latest = documents
            .SelectMany(document => document.Entries.Concat(document.Statements))
            .GroupBy(entry => entry.Node)
            .ToDictionary(said => new LeaseHolder(location, said.Key), said => said.Max(entry => entry.Epoch));
        var disputed = documents
            .SelectMany(document => document.Statements)
            .Where(statement => statement.Epoch < latest[new LeaseHolder(location, statement.Node)])
            .Select(statement => new LeaseHolder(location, statement.Node))
            .ToHashSet();
        var remembered = await _leases.RecallAsync(latest.Keys.Except(disputed), cancellation);
        var anew = latest.Keys.Where(node => !remembered.ContainsKey(node)).ToList();
        return anew.Count == 0 ? remembered : remembered.Concat(await _leases.FindAsync(anew, cancellation)).ToDictionary();
    }

    private static DocumentWrite ToWrite((StoredDocument Stored, HolderDocument Document, HolderDocument After) change) =>
        change.After.ToWrite(change.Stored.Key, StoreJson.Default.HolderDocument, change.Stored.ETag, DocumentTimeToLive);
}
