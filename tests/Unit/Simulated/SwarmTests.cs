using FsCheck.Xunit;
using SpegelDapr.Simulation;

namespace SpegelDapr.Unit.Simulated;

/// <summary>Nothing else runs meanwhile, since what is busy on the thread pool is waited for.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "simulated";
}

/// <summary>Nodes that pull one layer at once, in virtual time.</summary>
[Collection(Alone.Name)]
public sealed class SwarmTests
{
    private const long MiB = 1024 * 1024;

    /// <summary>What may come twice whenever a source changes: what was on the way from the last one, and what its reader holds back.</summary>
    private const long MostRefetchedBySource = Body.WindowBytes + MiB;

    private static readonly TimeSpan Together = TimeSpan.FromMilliseconds(200);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Nodes_that_pull_together_share_one_copy(int seed)
    {
        var result = Swarm.Run(SwarmPlan.Of(seed, nodes: 50, 8 * MiB, Together));

        AssertSound(result);
        Assert.Equal(1, result.Copies);
        Assert.Equal(50, result.Seconds.Count);
        Assert.True(result.P99 <= 2 * result.Median, result.ToString());
    }

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    public void Slow_nodes_and_dying_ones_cost_at_most_one_copy_more(int seed)
    {
        var result = Swarm.Run(SwarmPlan.Of(seed, nodes: 60, 16 * MiB, Together, slow: 0.05, dying: 0.05));

        AssertSound(result);
        Assert.InRange(result.Copies, 0.9, 2);
        Assert.True(result.P99 <= 2 * result.Median, result.ToString());
    }

    [Fact]
    public void What_one_node_has_comes_from_no_registry()
    {
        var result = Swarm.Run(SwarmPlan.Of(seed: 5, nodes: 50, 8 * MiB, Together, holders: 1));

        AssertSound(result);
        Assert.Equal(0, result.RegistryRequests);
        Assert.True(result.P99 <= 2 * result.Median, result.ToString());
    }

    [Fact]
    public void The_same_plan_gives_the_same_run()
    {
        var plan = SwarmPlan.Of(seed: 6, nodes: 30, 8 * MiB, Together, slow: 0.1, dying: 0.1);

        var (one, other) = (Swarm.Run(plan), Swarm.Run(plan));

        Assert.Equal(one.Seconds, other.Seconds);
        Assert.Equal(one.SlowSeconds, other.SlowSeconds);
        Assert.Equal(
            (one.Questions, one.NodeQuestions, one.ProgressQuestions, one.Writes, one.Virtual),
            (other.Questions, other.NodeQuestions, other.ProgressQuestions, other.Writes, other.Virtual));
    }

    [Property(MaxTest = 40)]
    public void Whatever_nodes_do_all_that_live_get_the_right_bytes((byte Rate, byte Start, byte End, bool IsSilent)[] nodes, int seed, bool isHeld)
    {
        var plan = new SwarmPlan(
            seed,
            3 * MiB,
            SwarmPlan.LinkBytesPerSecond,
            IsHashed: true,
            [
                new NodePlan(SwarmPlan.LinkBytesPerSecond, TimeSpan.Zero, IsHolder: isHeld),
                .. nodes.Take(10).Select(node => new NodePlan(
                    SwarmPlan.LinkBytesPerSecond / (1 + (node.Rate / 8.0)),
                    TimeSpan.FromMilliseconds(10 * node.Start),
                    node.End % 4 == 0 ? TimeSpan.FromMilliseconds(20 * node.End) : null,
                    node.IsSilent)),
            ]);

        AssertSound(Swarm.Run(plan));
    }

    private static void AssertSound(SwarmResult result)
    {
        Assert.Empty(result.Undone);
        Assert.True(result.Reported.Count == 0, $"Reported as failed: {string.Join(", ", result.Reported)}. {result}");
        Assert.True(result.Loops == 0, result.ToString());
        Assert.True(result.MostRefetchedBySource <= MostRefetchedBySource, result.ToString());
    }
}
