using System.Globalization;

namespace SpegelDapr.Simulation;

/// <summary>What has come of a simulation.</summary>
internal sealed class SwarmResult
{
    /// <summary>The seconds of each node that has pulled and is neither slow nor dead, in rising order.</summary>
    public IReadOnlyList<double> Seconds { get; private set; } = [];

    /// <summary>The same of slow nodes.</summary>
    public IReadOnlyList<double> SlowSeconds { get; private set; } = [];

    /// <summary>Nodes that are alive and do not have the layer.</summary>
    public IReadOnlyList<string> Undone { get; private set; } = [];

    /// <summary>Nodes that have been reported as failed and were alive.</summary>
    public List<string> Reported { get; } = [];

    /// <summary>How often the layer has come from the registry, by its bytes.</summary>
    public double Copies { get; private set; }

    /// <summary>How many requests the registry has had.</summary>
    public int RegistryRequests { get; set; }

    /// <summary>The questions whom to follow.</summary>
    public int Questions { get; set; }

    /// <summary>The questions where a node is.</summary>
    public int NodeQuestions { get; set; }

    /// <summary>The questions how far a node is.</summary>
    public int ProgressQuestions { get; set; }

    /// <summary>How often the resolver has not answered because of its store.</summary>
    public int Unavailable { get; set; }

    /// <summary>How often the resolver has written to its store.</summary>
    public int Writes { get; private set; }

    /// <summary>Its largest document there, in bytes.</summary>
    public int LargestDocument { get; private set; }

    /// <summary>The most nodes between one and where its bytes came from.</summary>
    public int Deepest { get; set; }

    /// <summary>How often a node has begun to follow one that its own bytes come to.</summary>
    public int Loops { get; set; }

    /// <summary>The most bytes that a node has fetched beyond the layer.</summary>
    public long MostRefetched { get; private set; }

    /// <summary>The most bytes that a node has fetched beyond the layer for each time that its source changed.</summary>
    public long MostRefetchedBySource { get; private set; }

    /// <summary>The most sources that a node has had one after the other.</summary>
    public int MostSources { get; private set; }

    /// <summary>How long it took.</summary>
    public TimeSpan Virtual { get; private set; }

    /// <summary>How long it took to simulate.</summary>
    public TimeSpan Real { get; private set; }

    public double Median => At(0.5);

    public double P99 => At(0.99);

    public double Slowest => Seconds.Count > 0 ? Seconds[^1] : 0;

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Seconds.Count} nodes: median {Median:0.0} s, p99 {P99:0.0} s, slowest {Slowest:0.0} s; slow ones {(SlowSeconds is [.., var last] ? last : 0):0.0} s; {Copies:0.00} copies by {RegistryRequests} requests upstream; {Reported.Count} healthy reported; {Questions} questions, {Writes} writes, largest {LargestDocument} B, {Unavailable} unavailable; {NodeQuestions} for nodes, {ProgressQuestions} for progress; depth {Deepest}, {Loops} loops, {MostSources} sources, refetched {MostRefetched}; {Undone.Count} undone; {Virtual.TotalSeconds:0.0} s virtual in {Real.TotalSeconds:0.0} s");

    /// <summary>Takes all in when the end has come.</summary>
    public void Complete(Swarm swarm, TimeSpan real)
    {
        var done = swarm.Nodes.Where(node => node is { IsComplete: true, Plan.IsHolder: false, IsDead: false }).ToList();
        Seconds = SecondsOf(done.Where(node => !node.Plan.IsSlow));
        SlowSeconds = SecondsOf(done.Where(node => node.Plan.IsSlow));
        Undone = [.. swarm.Nodes.Where(node => node is { IsComplete: false, IsDead: false }).Select(node => node.Identity.Name.ToString())];
        Copies = swarm.Nodes.Sum(node => node.FromRegistry) / (double)swarm.Plan.Bytes;
        (Writes, LargestDocument) = (swarm.Resolver.Store.Writes, swarm.Resolver.Store.Largest);
        MostSources = swarm.Nodes.Max(node => node.Sources);
        MostRefetched = done.Select(node => node.Fetched - (swarm.Plan.Bytes - swarm.Plan.From)).DefaultIfEmpty().Max();
        MostRefetchedBySource = done.Select(node => (node.Fetched - (swarm.Plan.Bytes - swarm.Plan.From)) / Math.Max(1, node.Sources - 1)).DefaultIfEmpty().Max();
        (Virtual, Real) = (swarm.Time.Elapsed, real);
    }

    private double At(double part) => Seconds.Count > 0 ? Seconds[(int)Math.Min(Seconds.Count - 1, Seconds.Count * part)] : 0;

    private static IReadOnlyList<double> SecondsOf(IEnumerable<Node> nodes) =>
        [.. nodes.Select(node => (node.FinishedAt - node.StartedAt)!.Value.TotalSeconds).Order()];
}
