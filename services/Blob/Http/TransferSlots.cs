namespace SpegelDapr.Blob.Http;

/// <summary>
/// How many bodies are sent at once to clients that are no peers, and manifests to all: each has some memory, and a blob that runs out of it breaks all of
/// them. A request that gets no place is told that the content is not here, and gets it elsewhere. Layers for peers have places of their own
/// (<see cref="PeersFed"/>).
/// </summary>
internal sealed class TransferSlots(TimeProvider time) : IDisposable
{
    /// <summary>How many places there are for blobs. Strangers get a part of these: <see cref="StrangerShares"/>.</summary>
    public const int Most = 32;

    /// <summary>A manifest up to this size needs no place. Hardly any is larger.</summary>
    public const int SmallManifestBytes = 64 * 1024;

    /// <summary>A manifest is in memory whole, up to 4 MiB, and half of that again waits for the client: all places together take 24 MiB.</summary>
    public const int ForManifestsOfEach = 2;

    /// <summary>Places become free often.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly SemaphoreSlim _blobs = new(Most);
    private readonly SemaphoreSlim _nodesManifests = new(ForManifestsOfEach);
    private readonly SemaphoreSlim _othersManifests = new(ForManifestsOfEach);

    /// <summary>Takes a place for a blob, which is free again when what is returned is disposed of; null when there is none.</summary>
    public Task<IDisposable?> TryTakeAsync(CancellationToken cancellation) => TryTakeAsync(_blobs, cancellation);

    /// <summary>The same for a manifest of this length. It is held until all of it has been taken from this service.</summary>
    public Task<IDisposable?> TryTakeForManifestAsync(long bytes, bool forNode, CancellationToken cancellation) =>
        bytes <= SmallManifestBytes ? Task.FromResult<IDisposable?>(new Slot(null)) : TryTakeAsync(forNode ? _nodesManifests : _othersManifests, cancellation);

    /// <inheritdoc/>
    public void Dispose()
    {
        _blobs.Dispose();
        _nodesManifests.Dispose();
        _othersManifests.Dispose();
    }

    private async Task<IDisposable?> TryTakeAsync(SemaphoreSlim places, CancellationToken cancellation)
    {
        if (places.Wait(0, CancellationToken.None))
        {
            return new Slot(places);
        }

        using var patience = new CancellationTokenSource(Patience, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellation);
        try
        {
            await places.WaitAsync(either.Token);
            return new Slot(places);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return null;
        }
    }

    private sealed class Slot(SemaphoreSlim? places) : IDisposable
    {
        public void Dispose() => places?.Release();
    }
}
