using System.Globalization;
using SpegelDapr.LocalDapr.Api;
using SpegelDapr.LocalDapr.Components;

namespace SpegelDapr.LocalDapr.State;

/// <summary>A change as a request states it, before the key has its prefix.</summary>
internal sealed record ChangeRequest(
    string Key, byte[]? Value, string? ETag, string Concurrency, string Consistency, IReadOnlyDictionary<string, string> Metadata);

/// <summary>An item of the answer to a bulk get: an entry, nothing, or an error.</summary>
internal sealed record BulkItem(string Key, StateEntry? Entry, string? Error);

/// <summary>The state API behind HTTP and gRPC.</summary>
internal sealed class StateAccess(AppSpec app, ComponentSet components)
{
    private const int DefaultParallelism = 10;

    public async Task<StateEntry?> GetAsync(string storeName, string key, CancellationToken cancellation)
    {
        var store = Store(storeName);
        var prefixed = store.Prefix.Add(storeName, key);
        try
        {
            return await store.Component.GetAsync(prefixed, cancellation);
        }
        catch (Exception e) when (BackendError.Is(e))
        {
            throw DaprErrors.StateGet(storeName, key, e.Message);
        }
    }

    /// <summary>
    /// Gets several keys. What fails for one key is told with that key and the request succeeds, as components-contrib's default bulk store
    /// does it.
    /// </summary>
    public async Task<IReadOnlyList<BulkItem>> GetManyAsync(string storeName, IEnumerable<string> keys, int parallelism, CancellationToken cancellation)
    {
        var store = Store(storeName);
        var prefixed = keys.Select(key => (Key: key, Prefixed: store.Prefix.Add(storeName, key))).ToList();
        using var slots = new SemaphoreSlim(parallelism > 0 ? parallelism : DefaultParallelism);
        return await Task.WhenAll(prefixed.Select(async entry =>
        {
            await slots.WaitAsync(cancellation);
            try
            {
                return new BulkItem(entry.Key, await store.Component.GetAsync(entry.Prefixed, cancellation), null);
            }
            catch (Exception e) when (BackendError.Is(e))
            {
                return new BulkItem(entry.Key, null, e.Message);
            }
            finally
            {
                slots.Release();
            }
        }));
    }

    public Task SaveAsync(string storeName, IReadOnlyList<ChangeRequest> requests, CancellationToken cancellation) =>
        ChangeAsync(storeName, requests, (e, reason) => DaprErrors.StateSave(storeName, e, reason), cancellation);

    public Task DeleteAsync(string storeName, ChangeRequest request, CancellationToken cancellation) =>
        ChangeAsync(storeName, [request], (e, reason) => DaprErrors.StateDelete(request.Key, e, reason), cancellation);

    public Task DeleteManyAsync(string storeName, IReadOnlyList<ChangeRequest> requests, CancellationToken cancellation) =>
        ChangeAsync(storeName, requests, (e, reason) => DaprErrors.StateDeleteMany(storeName, e, reason), cancellation);

    public async Task TransactAsync(string storeName, IReadOnlyList<ChangeRequest> requests, CancellationToken cancellation)
    {
        var store = Store(storeName);
        var keys = requests.Select(request => store.Prefix.Add(storeName, request.Key)).ToList();
        try
        {
            await store.Component.TransactAsync([.. requests.Zip(keys, ToChange)], cancellation);
        }
        catch (Exception e) when (BackendError.Is(e))
        {
            throw DaprErrors.StateTransaction(e.Message);
        }
    }

    /// <exception cref="DaprException">The app has no such store.</exception>
    public PrefixedStateStore Store(string storeName) =>
        components.StateStores.TryGetValue(storeName, out var store) ? store
        : components.StateStores.Count == 0 ? throw DaprErrors.StateStoreNotConfigured(storeName, app.AppId)
        : throw DaprErrors.StateStoreNotFound(storeName, app.AppId);

    private static StateChange ToChange(ChangeRequest request, string key)
    {
        if (request.Concurrency is not ("" or StateChange.FirstWrite or StateChange.LastWrite))
        {
            throw new FormatException($"unrecognized concurrency model '{request.Concurrency}'");
        }

        if (request.Consistency is not ("" or "strong" or "eventual"))
        {
            throw new FormatException($"unrecognized consistency model '{request.Consistency}'");
        }

        int? ttl = request.Metadata.TryGetValue("ttlInSeconds", out var text) && text.Length > 0
            ? int.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture)
            : null;
        return new StateChange(key, request.Value, request.ETag, request.Concurrency, ttl);
    }

    // Several changes are made side by side, and those that succeed stay when others fail.
    private async Task ChangeAsync(
        string storeName, IReadOnlyList<ChangeRequest> requests, Func<Exception, string, DaprException> toError, CancellationToken cancellation)
    {
        var store = Store(storeName);
        var keys = requests.Select(request => store.Prefix.Add(storeName, request.Key)).ToList();
        var failures = await Task.WhenAll(requests.Zip(keys, async (request, key) =>
        {
            try
            {
                await store.Component.ChangeAsync(ToChange(request, key), cancellation);
                return null;
            }
            catch (Exception e) when (BackendError.Is(e))
            {
                return e;
            }
        }));
        var errors = failures.OfType<Exception>().ToList();
        if (errors.Count > 0)
        {
            // A version that does not match decides the status, whatever else failed.
            var telling = errors.OfType<ETagException>().FirstOrDefault() ?? errors[0];
            throw toError(telling, string.Join('\n', errors.Select(error => error.Message)));
        }
    }
}
