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

    /// <summary>Places become free often; a peer asks another holder as well meanwhile.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly SemaphoreSlim _peers = new(ForPeers);
    private readonly SemaphoreSlim _others = new(ForOthers);

    /// <summary>Takes a place, which is free again when what is returned is disposed of; null when there is none.</summary>
    public async Task<IDisposable?> TryTakeAsync(bool forPeer, CancellationToken cancellation)
    {
        var places = forPeer ? _peers : _others;
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

    /// <inheritdoc/>
    public void Dispose()
    {
        _peers.Dispose();
        _others.Dispose();
    }

    private sealed class Slot(SemaphoreSlim places) : IDisposable
    {
        public void Dispose() => places.Release();
    }
}
