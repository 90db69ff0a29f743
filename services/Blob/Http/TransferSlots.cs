namespace SpegelDapr.Blob.Http;

/// <summary>
/// How many bodies are sent at once: each has some MiB of memory, and a blob that runs out of it breaks all of them. Who finds no place is told
/// that the content is not here, and gets it elsewhere. Nodes do not take the places of this node's own containerd.
/// </summary>
internal sealed class TransferSlots(TimeProvider time) : IDisposable
{
    /// <summary>With two response buffers of a MiB and what is being read, both together stay below 300 MiB.</summary>
    public const int ForPeers = 64;

    /// <summary>Strangers get a part of these: <see cref="StrangerShares"/>.</summary>
    public const int ForOthers = 32;

    /// <summary>A manifest up to this size needs no place. Hardly any is larger.</summary>
    public const int SmallManifestBytes = 64 * 1024;

    /// <summary>A manifest is in memory whole, up to 4 MiB, and half of that again waits for the client: all places together take 24 MiB.</summary>
    public const int ForManifestsOfEach = 2;

    /// <summary>Places become free often; a peer asks another holder as well meanwhile.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly SemaphoreSlim _peers = new(ForPeers);
    private readonly SemaphoreSlim _others = new(ForOthers);
    private readonly SemaphoreSlim _nodesManifests = new(ForManifestsOfEach);
    private readonly SemaphoreSlim _othersManifests = new(ForManifestsOfEach);

    /// <summary>Takes a place, which is free again when what is returned is disposed of; null when there is none.</summary>
    public Task<IDisposable?> TryTakeAsync(bool forPeer, CancellationToken cancellation) => TryTakeAsync(forPeer ? _peers : _others, cancellation);

    /// <summary>The same for a manifest of this length. It is held until all of it has been taken from this service.</summary>
    public Task<IDisposable?> TryTakeForManifestAsync(long bytes, bool forNode, CancellationToken cancellation) =>
        bytes <= SmallManifestBytes ? Task.FromResult<IDisposable?>(new Slot(null)) : TryTakeAsync(forNode ? _nodesManifests : _othersManifests, cancellation);

    /// <inheritdoc/>
    public void Dispose()
    {
        _peers.Dispose();
        _others.Dispose();
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
