using System.Collections.Concurrent;
using System.Text.Json.Serialization.Metadata;
using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Internal;
using Microsoft.Extensions.Options;
using Polly;
using Polly.CircuitBreaker;
using Polly.Timeout;

namespace SpegelDapr.Resolver.Store;

/// <summary>
/// Documents as they were a moment ago, for answers that must be prompt: a read has a budget, and after some that failed none is tried for a
/// moment. Who asks for a document that is being read waits for that read, so what all nodes of a zone want at once is read once.
/// </summary>
internal sealed class DocumentCache : IDisposable
{
    /// <summary>
    /// How long it is remembered that a document does not exist, and how old an answer may be by which nobody holds a key: what a node has just
    /// told must be found.
    /// </summary>
    public static readonly TimeSpan MissesLive = TimeSpan.FromMilliseconds(50);

    private const int MostDocuments = 50_000;

    private static readonly TimeSpan ReadBudget = TimeSpan.FromSeconds(1);

    private readonly IHolderStore _store;
    private readonly TimeSpan _duration;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly MemoryCache _documents;
    private readonly ConcurrentDictionary<string, Task<IReadOnlyDictionary<string, Remembered>>> _reading = new();
    private readonly Lock _lock = new();
    private readonly ResiliencePipeline _reads;

    public DocumentCache(IHolderStore store, IOptions<ResolverOptions> options, TimeProvider time, ILogger<DocumentCache> logger)
    {
        (_store, _duration, _time, _logger) = (store, options.Value.CacheDuration, time, logger);
        _documents = new MemoryCache(new MemoryCacheOptions { SizeLimit = MostDocuments, Clock = new Clock(time) });
        _reads = new ResiliencePipelineBuilder { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions
            {
                FailureRatio = 0.5,
                MinimumThroughput = 2,
                SamplingDuration = TimeSpan.FromSeconds(5),
                BreakDuration = TimeSpan.FromSeconds(1),
                ShouldHandle = new PredicateBuilder().Handle<StoreUnavailableException>().Handle<TimeoutRejectedException>(),
            })
            .AddTimeout(ReadBudget)
            .Build();
    }

    /// <summary>Those of the documents that exist, by key.</summary>
    /// <param name="keys">Their keys.</param>
    /// <param name="type">Their JSON.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <param name="since">The timestamp from which on what is remembered must be; without it, as old as anything is.</param>
    /// <exception cref="StoreUnavailableException">Not all are remembered, and the store does not answer in time.</exception>
    public async Task<IReadOnlyDictionary<string, T>> GetAsync<T>(
        IEnumerable<string> keys, JsonTypeInfo<T> type, CancellationToken cancellation, long? since = null)
        where T : class
    {
        var documents = new Dictionary<string, T>();
        var missing = new HashSet<string>();
        foreach (var key in keys)
        {
            if (Recall(key, since) is not { } known)
            {
                missing.Add(key);
            }
            else if (known.Document is T document)
            {
                documents[key] = document;
            }
        }

        foreach (var (key, read) in Read(missing, type))
        {
            if ((await read.WaitAsync(cancellation))[key].Document is T document)
            {
                documents[key] = document;
            }
        }

        return documents;
    }

    /// <summary>Remembers a document that has just been written.</summary>
    public void Set<T>(string key, T document)
        where T : class => Remember(key, new Remembered(document, _time.GetTimestamp()));

    /// <summary>Has a document read anew the next time, if it is not known to be newer than another that contradicts it.</summary>
    public void ForgetIfOlder(string key, string other)
    {
        if (_documents.TryGetValue(key, out Remembered? known) && _documents.TryGetValue(other, out Remembered? contrary) && known!.AsOf <= contrary!.AsOf)
        {
            _documents.Remove(key);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _documents.Dispose();

    private Remembered? Recall(string key, long? since) =>
        _documents.TryGetValue(key, out Remembered? known)
        && (since is null ? _time.GetElapsedTime(known!.AsOf) < (known.Document is null ? MissesLive : _duration) : known!.AsOf >= since)
            ? known
            : null;

    /// <summary>Remembers a document unless a later one is: what was written while it was read is not lost again.</summary>
    private Remembered Remember(string key, Remembered document)
    {
        lock (_lock)
        {
            if (_documents.TryGetValue(key, out Remembered? known) && known!.AsOf > document.AsOf)
            {
                return known;
            }

            return _documents.Set(key, document, new MemoryCacheEntryOptions { AbsoluteExpirationRelativeToNow = _duration, Size = 1 });
        }
    }

    /// <summary>One read for those of the documents that nobody is reading; for each document, its read.</summary>
    private List<(string Key, Task<IReadOnlyDictionary<string, Remembered>> Read)> Read<T>(HashSet<string> keys, JsonTypeInfo<T> type)
        where T : class
    {
        var read = new TaskCompletionSource<IReadOnlyDictionary<string, Remembered>>(TaskCreationOptions.RunContinuationsAsynchronously);
        var reads = keys.Select(key => (key, Read: _reading.GetOrAdd(key, read.Task))).ToList();
        var mine = reads.Where(one => one.Read == read.Task).Select(one => one.key).ToList();
        if (mine.Count > 0)
        {
            _ = ReadAsync(mine, type, read);
        }

        return reads;
    }

    private async Task ReadAsync<T>(List<string> keys, JsonTypeInfo<T> type, TaskCompletionSource<IReadOnlyDictionary<string, Remembered>> read)
        where T : class
    {
        var asOf = _time.GetTimestamp();
        try
        {
            // Nobody's token: others may wait for the same documents.
            var stored = await _reads.ExecuteAsync(async token => await _store.GetAsync(keys, token));
            var documents = stored.ToDictionary(one => one.Key, one => Remember(one.Key, new Remembered(one.Read(type, _logger), asOf)));
            Forget();
            read.SetResult(documents);
        }
        catch (BrokenCircuitException e)
        {
            Fail(new StoreUnavailableException("The state store has just failed to answer.", e));
        }
        catch (TimeoutRejectedException e)
        {
            Fail(new StoreUnavailableException($"The state store does not answer within {ReadBudget.TotalSeconds} s.", e));
        }
        catch (Exception e)
        {
            // Whatever it is, it belongs to each of those who wait.
            Fail(e);
        }

        void Forget() => keys.ForEach(key => _reading.TryRemove(key, out _));

        void Fail(Exception e)
        {
            Forget();
            read.SetException(e);

            // One who has stopped waiting never looks at it.
            _ = read.Task.Exception;
        }
    }

    /// <param name="Document">The document; null when it does not exist.</param>
    /// <param name="AsOf">When its read began or its write ended, as a timestamp.</param>
    private sealed record Remembered(object? Document, long AsOf);

    private sealed class Clock(TimeProvider time) : ISystemClock
    {
        public DateTimeOffset UtcNow => time.GetUtcNow();
    }
}
