using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>Nodes that hold the content complete.</summary>
internal sealed class HolderSource(HedgedStart hedged, Referrals referrals, PeerQueue candidates, Digest digest, TimeSpan startBudget, TimeProvider time) : IPeerSource
{
    /// <inheritdoc/>
    public TimeSpan StartBudget => startBudget;

    /// <inheritdoc/>
    public async Task<PeerAnswer?> StartAsync(PeerRequest request, CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                if (await hedged.StartAsync(candidates, request, cancellation) is { } answer)
                {
                    return answer;
                }

                var declined = candidates.TakeDeclined();
                if (declined.Count == 0)
                {
                    return null;
                }

                // One of them is enough: the others are as busy, and each may name nodes that have gone.
                if (request.Refer && declined.FirstOrDefault(busy => busy.Referrals.Count > 0) is { Holder: { } holder, Referrals: var names }
                    && await referrals.AskAsync(holder, names, digest, request, cancellation) is { } found)
                {
                    return found;
                }

                // With nobody else to ask it waits, for a place or for a check to end. Not all that wait come at the same moment.
                request = request with { Refer = false };
                await Task.Delay(PeerClient.DeclinedPause * (0.5 + Random.Shared.NextDouble()), time, cancellation);
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public Task<bool> ExcusesAsync(Holder peer, TimeSpan silence, CancellationToken cancellation) => Task.FromResult(false);

    /// <inheritdoc/>
    public void Received(long offset, ReadOnlySpan<byte> bytes)
    {
        // Nobody is told to follow what comes so: the others are told of the holders too.
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // It holds nothing between two calls.
    }
}
