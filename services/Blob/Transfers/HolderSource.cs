using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>Nodes that hold the content complete.</summary>
internal sealed class HolderSource(HedgedStart hedged, Referrals referrals, PeerQueue candidates, Digest digest, TimeSpan startBudget, TimeProvider time) : IPeerSource
{
    /// <summary>This number of the nodes to which one holder refers are asked.</summary>
    private const int MostReferrals = 3;

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

                foreach (var (holder, names) in request.Refer ? declined : [])
                {
                    if (await referrals.AskAsync(holder, names.Take(MostReferrals), digest, request, cancellation) is { } found)
                    {
                        return found;
                    }
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
        // Nobody follows what comes from a holder of the same zone: the others are told of the holder too.
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // It holds nothing between two calls.
    }
}
