namespace SpegelDapr.Simulation;

/// <summary>What is simulated.</summary>
/// <param name="Seed">Decides what is random.</param>
/// <param name="Bytes">The layer's length.</param>
/// <param name="RegistryBytesPerSecond">What the registry sends to all together.</param>
/// <param name="IsHashed">
/// Whether nodes get the whole of real bytes, and hash them. Otherwise their containerds have the first byte already and continue, which nobody can hash: for
/// many nodes, the hash takes the most time.
/// </param>
/// <param name="Nodes">The nodes.</param>
internal sealed record SwarmPlan(int Seed, long Bytes, double RegistryBytesPerSecond, bool IsHashed, IReadOnlyList<NodePlan> Nodes)
{
    /// <summary>100 Mbit/s.</summary>
    public const double LinkBytesPerSecond = 12.5e6;

    /// <summary>A slow link has this part of the others' rate.</summary>
    public const double SlowPart = 0.1;

    /// <summary>The first byte that a node asks its mirror for.</summary>
    public long From => IsHashed ? 0 : 1;

    /// <summary>Nodes with equal links that start within some time, with some of them slow and some that die on the way, at random.</summary>
    public static SwarmPlan Of(int seed, int nodes, long bytes, TimeSpan startWithin, double slow = 0, double dying = 0, int holders = 0, bool isHashed = true, double? registry = null)
    {
        var random = new Random(seed);
        var alone = TimeSpan.FromSeconds(bytes / LinkBytesPerSecond);
        return new SwarmPlan(seed, bytes, registry ?? (10 * LinkBytesPerSecond), isHashed, [.. Enumerable.Range(0, nodes).Select(number =>
        {
            var (isSlow, isDying) = (random.NextDouble() < slow, random.NextDouble() < dying);
            var startsAt = startWithin * random.NextDouble();
            return new NodePlan(
                isSlow ? LinkBytesPerSecond * SlowPart : LinkBytesPerSecond,
                startsAt,
                isDying ? startsAt + (alone * 1.5 * random.NextDouble()) : null,
                random.Next(2) == 0,
                number < holders);
        })]);
    }
}

/// <summary>A node.</summary>
/// <param name="BytesPerSecond">The rate of its link in each direction.</param>
/// <param name="StartsAt">When it begins to pull.</param>
/// <param name="DiesAt">When it dies; null when it does not.</param>
/// <param name="DiesSilently">Whether it then says nothing; otherwise it resets its connections and refuses new ones.</param>
/// <param name="IsHolder">Whether it has the layer from the beginning.</param>
internal sealed record NodePlan(double BytesPerSecond, TimeSpan StartsAt, TimeSpan? DiesAt = null, bool DiesSilently = false, bool IsHolder = false)
{
    /// <summary>Whether its link is as fast as others'.</summary>
    public bool IsSlow => BytesPerSecond < SwarmPlan.LinkBytesPerSecond / 2;
}
