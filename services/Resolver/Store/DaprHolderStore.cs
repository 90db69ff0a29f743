using System.Globalization;
using Dapr.Client.Autogen.Grpc.v1;
using Google.Protobuf;
using Grpc.Core;
using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver.Store;

/// <summary>
/// The Dapr state store <see cref="DaprNames.HolderStore"/>, by Dapr's gRPC API itself: <c>DaprClient.GetBulkStateAsync</c> drops the errors of
/// single keys, and without them a store that is down looks like one that is empty.
/// </summary>
internal sealed class DaprHolderStore(SidecarChannel sidecar, ResolverMetrics metrics) : IHolderStore
{
    /// <summary>Keeps what a read brings well below gRPC's limit on messages: a document of 64 holders has about 8 KiB.</summary>
    private const int KeysPerRead = 128;

    /// <summary>Dapr accepts messages of up to 4 MiB by default.</summary>
    private const int BytesPerWrite = 1024 * 1024;

    /// <inheritdoc/>
    public async Task<IReadOnlyList<StoredDocument>> GetAsync(IReadOnlyList<string> keys, CancellationToken cancellation)
    {
        var reads = await Task.WhenAll(keys.Chunk(KeysPerRead).Select(chunk => ReadAsync(chunk, cancellation)));
        return [.. reads.SelectMany(documents => documents)];
    }

    /// <inheritdoc/>
    public async Task<bool> TrySaveAsync(IReadOnlyList<DocumentWrite> writes, CancellationToken cancellation)
    {
        var saved = await Task.WhenAll(Requests(writes).Select(request => SaveAsync(request, cancellation)));
        return saved.All(all => all);
    }

    private async Task<IEnumerable<StoredDocument>> ReadAsync(string[] keys, CancellationToken cancellation)
    {
        var request = new GetBulkStateRequest { StoreName = DaprNames.HolderStore };
        request.Keys.AddRange(keys);
        GetBulkStateResponse response;
        try
        {
            response = await sidecar.Dapr.GetBulkStateAsync(request, sidecar.Headers, cancellationToken: cancellation);
        }
        catch (RpcException e)
        {
            cancellation.ThrowIfCancellationRequested();
            throw Unavailable("read", e.Status.Detail, e);
        }

        if (response.Items.FirstOrDefault(item => item.Error.Length > 0) is { } failed)
        {
            throw Unavailable("read", failed.Error);
        }

        // Components may answer in any order, and need not mention a key that they do not have.
        var found = response.Items.Where(item => !item.Data.IsEmpty).ToDictionary(item => item.Key);
        return keys.Select(key => found.TryGetValue(key, out var item)
            ? new StoredDocument(key, item.Data.Memory, item.Etag)
            : new StoredDocument(key, null, null));
    }

    private async Task<bool> SaveAsync(SaveStateRequest request, CancellationToken cancellation)
    {
        try
        {
            await sidecar.Dapr.SaveStateAsync(request, sidecar.Headers, cancellationToken: cancellation);
            return true;
        }
        catch (RpcException e) when (e.StatusCode is StatusCode.Aborted or StatusCode.InvalidArgument or StatusCode.Internal)
        {
            // Aborted is the status of a conflict, but Redis and PostgreSQL report the conflict of a first write as an internal error, and Redis
            // reports a failure during a write with ETag as a conflict.
            return false;
        }
        catch (RpcException e)
        {
            cancellation.ThrowIfCancellationRequested();
            throw Unavailable("written", e.Status.Detail, e);
        }
    }

    private static IEnumerable<SaveStateRequest> Requests(IEnumerable<DocumentWrite> writes)
    {
        var request = new SaveStateRequest { StoreName = DaprNames.HolderStore };
        var bytes = 0;
        foreach (var write in writes)
        {
            if (bytes > 0 && bytes + write.Value.Length > BytesPerWrite)
            {
                yield return request;
                request = new SaveStateRequest { StoreName = DaprNames.HolderStore };
                bytes = 0;
            }

            request.States.Add(Item(write));
            bytes += write.Value.Length;
        }

        if (bytes > 0)
        {
            yield return request;
        }
    }

    private static StateItem Item(DocumentWrite write)
    {
        var item = new StateItem
        {
            Key = write.Key,
            Value = UnsafeByteOperations.UnsafeWrap(write.Value),
            Options = new StateOptions { Concurrency = StateOptions.Types.StateConcurrency.ConcurrencyFirstWrite },
            Metadata = { ["ttlInSeconds"] = Math.Ceiling(write.TimeToLive.TotalSeconds).ToString(CultureInfo.InvariantCulture) },
        };
        if (write.ETag is not null)
        {
            item.Etag = new Etag { Value = write.ETag };
        }

        return item;
    }

    private StoreUnavailableException Unavailable(string what, string detail, Exception? inner = null)
    {
        metrics.StoreFailed();
        return new StoreUnavailableException($"The state store '{DaprNames.HolderStore}' cannot be {what}: {detail}", inner);
    }
}
