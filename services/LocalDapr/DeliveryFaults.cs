namespace SpegelDapr.LocalDapr;

/// <summary>
/// Makes deliveries of pub/sub messages worse on purpose, within what Dapr allows (at least once, in any order), for tests of subscribers.
/// Delays differ per delivery, so they also change the order.
/// </summary>
/// <param name="seed">The seed of the random choices; they also depend on the order in which messages arrive.</param>
/// <param name="duplicates">How many deliveries in a hundred are made twice.</param>
/// <param name="longestDelay">Each delivery waits between nothing and this long.</param>
public sealed class DeliveryFaults(int seed, int duplicates, TimeSpan longestDelay)
{
    private readonly Lock _lock = new();
    private readonly Random _random = new(seed);

    /// <summary>When to make the deliveries of one message, counted from its arrival: one entry, or two for a duplicate.</summary>
    internal TimeSpan[] NextDelays()
    {
        lock (_lock)
        {
            return _random.Next(100) < duplicates ? [NextDelay(), NextDelay()] : [NextDelay()];
        }
    }

    private TimeSpan NextDelay() => longestDelay * _random.NextDouble();
}
