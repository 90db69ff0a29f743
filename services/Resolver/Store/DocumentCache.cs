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
/// moment. Only documents that exist are remembered, so that what is new is found at once.
/// </summary>
internal sealed class DocumentCache : IDisposable
{
    private const int MostDocuments = 50_000;

    private static readonly TimeSpan ReadBudget = TimeSpan.FromSeconds(1);

    private readonly IHolderStore _store;
    private readonly TimeSpan _duration;
    private readonly ILogger _logger;
    private readonly MemoryCache _documents;
    private readonly ResiliencePipeline _reads;

    public DocumentCache(IHolderStore store, IOptions<ResolverOptions> options, TimeProvider time, ILogger<DocumentCache> logger)
    {
        _store = store;
        _duration = options.Value.CacheDuration;
        _logger = logger;
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
    /// <exception cref="StoreUnavailableException">Not all are remembered, and the store does not answer in time.</exception>
    public async Task<IReadOnlyDictionary<string, T>> GetAsync<T>(IEnumerable<string> keys, JsonTypeInfo<T> type, CancellationToken cancellation)
        where T : class
    {
        var documents = new Dictionary<string, T>();
        var missing = new HashSet<string>();
        foreach (var key in keys)
        {
            if (_documents.TryGetValue(key, out T? known))
            {
                documents[key] = known!;
            }
            else
            {
                missing.Add(key);
            }
        }

        foreach (var stored in missing.Count == 0 ? [] : await ReadAsync([.. missing], cancellation))
        {
            if (stored.Read(type, _logger) is { } document)
            {
                documents[stored.Key] = document;
                Set(stored.Key, document);
            }
        }

        return documents;
    }

    /// <summary>Remembers a document that has just been written.</summary>
    public void Set<T>(string key, T document)
        where T : class => _documents.Set(key, document, new MemoryCacheEntryOptions { AbsoluteExpirationRelativeToNow = _duration, Size = 1 });

    /// <inheritdoc/>
    public void Dispose() => _documents.Dispose();

    private async Task<IReadOnlyList<StoredDocument>> ReadAsync(IReadOnlyList<string> keys, CancellationToken cancellation)
    {
        try
        {
            return await _reads.ExecuteAsync(async token => await _store.GetAsync(keys, token), cancellation);
        }
        catch (BrokenCircuitException e)
        {
            throw new StoreUnavailableException("The state store has just failed to answer.", e);
        }
        catch (TimeoutRejectedException e)
        {
            throw new StoreUnavailableException($"The state store does not answer within {ReadBudget.TotalSeconds} s.", e);
        }
    }

    private sealed class Clock(TimeProvider time) : ISystemClock
    {
        public DateTimeOffset UtcNow => time.GetUtcNow();
    }
}
