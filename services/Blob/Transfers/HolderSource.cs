using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>Nodes that hold the content complete.</summary>
internal sealed class HolderSource(HedgedStart hedged, PeerQueue candidates, TimeSpan startBudget) : IPeerSource
{
    /// <inheritdoc/>
    public TimeSpan StartBudget => startBudget;

    /// <inheritdoc/>
    public Task<PeerAnswer?> StartAsync(PeerRequest request, CancellationToken cancellation) => hedged.StartAsync(candidates, request, cancellation);

    /// <inheritdoc/>
    public Task<bool> ExcusesAsync(Holder peer, TimeSpan silence, CancellationToken cancellation) => Task.FromResult(false);

    /// <inheritdoc/>
    public void Received(long offset, ReadOnlySpan<byte> bytes)
    {
        // Nobody follows what comes from a holder of the same zone: the others are told of the holder too.
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // It holds nothing between two calls.
    }
}
