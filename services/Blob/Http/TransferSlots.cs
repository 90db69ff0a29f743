namespace SpegelDapr.Blob.Http;

/// <summary>
/// How many bodies are sent at once to clients that are no peers: each has some MiB of memory, and a blob that runs out of it breaks all of them. A request
/// that gets no place is told that the content is not here, and gets it elsewhere. Peers have places of their own (<see cref="PeersFed"/>).
/// </summary>
internal sealed class TransferSlots(TimeProvider time) : IDisposable
{
    /// <summary>How many places there are.</summary>
    public const int Most = 32;

    /// <summary>Places become free often.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly SemaphoreSlim _places = new(Most);

    /// <summary>Takes a place, which is free again when what is returned is disposed of; null when there is none.</summary>
    public async Task<IDisposable?> TryTakeAsync(CancellationToken cancellation)
    {
        if (_places.Wait(0, CancellationToken.None))
        {
            return new Slot(_places);
        }

        using var patience = new CancellationTokenSource(Patience, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellation);
        try
        {
            await _places.WaitAsync(either.Token);
            return new Slot(_places);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _places.Dispose();

    private sealed class Slot(SemaphoreSlim places) : IDisposable
    {
        public void Dispose() => places.Release();
    }
}
