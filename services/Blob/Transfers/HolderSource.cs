using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Transfers;

/// <summary>Nodes that hold the content complete.</summary>
internal sealed class HolderSource(HedgedStart hedged, Referrals referrals, PeerQueue candidates, Digest digest, TimeSpan startBudget, TimeProvider time) : IPeerSource
{
    /// <summary>To this number of nodes one holder may refer, and after this time those that were busy are asked again.</summary>
    private const int MostReferrals = 3;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    /// <inheritdoc/>
    public TimeSpan StartBudget => startBudget;

    /// <summary>Asks this holder before the others.</summary>
    public void Prefer(NodeName node) => candidates.Prefer(node);

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

                var busy = candidates.TakeDeclined();
                if (busy.Count == 0)
                {
                    return null;
                }

                foreach (var (holder, names) in request.Refer ? busy : [])
                {
                    if (await referrals.AskAsync(holder, names.Take(MostReferrals), digest, request, cancellation) is { } found)
                    {
                        return found;
                    }
                }

                // With nobody else to ask it waits for a place. Not all that wait come at the same moment.
                request = request with { Refer = false };
                await Task.Delay(Pause * (0.5 + Random.Shared.NextDouble()), time, cancellation);
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
