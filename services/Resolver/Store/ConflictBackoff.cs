namespace SpegelDapr.Resolver.Store;

/// <summary>How long a write that came second waits before it is tried again, and how often.</summary>
internal sealed class ConflictBackoff(ResolverMetrics metrics, TimeProvider time)
{
    private const int MostAttempts = 12;

    private static readonly TimeSpan First = TimeSpan.FromMilliseconds(4);
    private static readonly TimeSpan Longest = TimeSpan.FromMilliseconds(250);

    /// <summary>Decides how long it waits.</summary>
    internal Random Random { get; init; } = Random.Shared;

    /// <summary>Waits for a random time after an attempt, counted from 1, that did not succeed.</summary>
    /// <exception cref="StoreUnavailableException">There have been too many attempts.</exception>
    public async Task WaitAsync(int attempt, CancellationToken cancellation)
    {
        metrics.StoreConflict();
        if (attempt >= MostAttempts)
        {
            throw new StoreUnavailableException($"{MostAttempts} attempts to write to the state store have collided with others or failed.");
        }

        var longest = First * (1 << attempt);
        await Task.Delay((longest < Longest ? longest : Longest) * Random.NextDouble(), time, cancellation);
    }
}
