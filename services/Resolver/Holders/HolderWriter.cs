using System.Collections.Concurrent;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Holders;

/// <summary>
/// Writes what nodes say into the documents of the keys. The nodes of a zone hold the same images, so when they start together their events
/// meet in the same documents: events that come while a write is under way are written together by the next one, and only replicas compete.
/// </summary>
internal sealed class HolderWriter(
    IHolderStore store,
    DocumentCache cache,
    LeaseBook leases,
    ConflictBackoff backoff,
    IOptions<ResolverOptions> options,
    TimeProvider time,
    ILogger<HolderWriter> logger) : IDisposable
{
    /// <summary>How long the store keeps a document that nobody writes. Each node repeats all it holds within <see cref="Events.SnapshotRequests.MostAge"/>.</summary>
    public static readonly TimeSpan DocumentTimeToLive = TimeSpan.FromDays(3);

    /// <summary>The most entries that are written at once.</summary>
    private const int MostPerWrite = 4096;

    /// <summary>How long one write may take with all its attempts.</summary>
    private static readonly TimeSpan WriteBudget = TimeSpan.FromSeconds(8);

    private readonly ConcurrentQueue<Waiting> _waiting = new();
    private readonly SemaphoreSlim _writing = new(1);

    /// <summary>Writes one node's entries for these keys.</summary>
    /// <exception cref="StoreUnavailableException">Not all could be written; to repeat it does no harm.</exception>
    public async Task WriteAsync(Location location, IReadOnlyDictionary<ContentKey, HolderEntry> entries, CancellationToken cancellation)
    {
        var mine = new Waiting(location, entries);
        _waiting.Enqueue(mine);
        await _writing.WaitAsync(cancellation);
        try
        {
            while (!mine.Written.Task.IsCompleted)
            {
                await WriteWaitingAsync();
            }
        }
        finally
        {
            _writing.Release();
        }

        await mine.Written.Task;
    }

    /// <inheritdoc/>
    public void Dispose() => _writing.Dispose();

    /// <summary>Writes as much as fits of what waits. It has a budget of its own, because others than the caller depend on it.</summary>
    private async Task WriteWaitingAsync()
    {
        var batch = new List<Waiting>();
        for (var count = 0; count < MostPerWrite && _waiting.TryDequeue(out var waiting); count += waiting.Entries.Count)
        {
            batch.Add(waiting);
        }

        try
        {
            using var budget = new CancellationTokenSource(WriteBudget, time);
            await WriteAsync(batch, budget.Token);
            batch.ForEach(waiting => waiting.Written.SetResult());
        }
        catch (OperationCanceledException e)
        {
            Fail(new StoreUnavailableException($"The state store does not take a write within {WriteBudget.TotalSeconds} s.", e));
        }
        catch (Exception e)
        {
            // Whatever it is, it belongs to each of those who wait.
            Fail(e);
        }

        void Fail(Exception e) => batch.ForEach(waiting =>
        {
            waiting.Written.SetException(e);

            // One who has stopped waiting never looks at it.
            _ = waiting.Written.Task.Exception;
        });
    }

    private async Task WriteAsync(List<Waiting> batch, CancellationToken cancellation)
    {
        var news = batch
            .SelectMany(waiting => waiting.Entries.Select(said => (Key: StoreKeys.Holders(waiting.Location, said.Key), waiting.Location, Entry: said.Value)))
            .GroupBy(said => said.Key)
            .ToDictionary(said => said.Key, said => (said.First().Location, Entries: said.Select(one => one.Entry).ToList()));
        for (var attempt = 1; news.Count > 0; attempt++)
        {
            var documents = (await store.GetAsync([.. news.Keys], cancellation))
                .Select(stored => (Stored: stored, Document: stored.Read(StoreJson.Default.HolderDocument, logger) ?? HolderDocument.Empty))
                .Where(read => read.Document.IsNewsIn(news[read.Stored.Key].Entries))
                .ToList();
            var known = await leases.RecallAsync(
                documents.SelectMany(read => read.Document.Entries.Concat(news[read.Stored.Key].Entries)
                    .Select(entry => new LeaseHolder(news[read.Stored.Key].Location, entry.Node))),
                cancellation);
            var now = time.GetUtcNow();
            var changed = documents
                .Select(read => (read.Stored, read.Document, After: Merge(read.Document, news[read.Stored.Key], known, now)))
                .Where(change => !change.After.Entries.SequenceEqual(change.Document.Entries))
                .ToList();
            if (changed.Count == 0 || await store.TrySaveAsync([.. changed.Select(ToWrite)], cancellation))
            {
                changed.ForEach(change => cache.Set(change.Stored.Key, change.After));
                return;
            }

            await backoff.WaitAsync(attempt, cancellation);
            news = changed.ToDictionary(change => change.Stored.Key, change => news[change.Stored.Key]);
        }
    }

    private HolderDocument Merge(
        HolderDocument document,
        (Location Location, List<HolderEntry> Entries) news,
        IReadOnlyDictionary<LeaseHolder, Lease> known,
        DateTimeOffset now) =>
        document.With(news.Entries, node => known.GetValueOrDefault(new LeaseHolder(news.Location, node)), now, options.Value.MaxHoldersPerKey);

    private static DocumentWrite ToWrite((StoredDocument Stored, HolderDocument Document, HolderDocument After) change) =>
        change.After.ToWrite(change.Stored.Key, StoreJson.Default.HolderDocument, change.Stored.ETag, DocumentTimeToLive);

    private sealed record Waiting(Location Location, IReadOnlyDictionary<ContentKey, HolderEntry> Entries)
    {
        public TaskCompletionSource Written { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
