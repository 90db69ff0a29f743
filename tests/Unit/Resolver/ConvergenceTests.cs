using FsCheck.Xunit;

namespace SpegelDapr.Unit.Resolver;

public class ConvergenceTests
{
    [Property(MaxTest = 150)]
    public async Task After_any_history_the_view_becomes_what_the_nodes_hold((byte What, byte Who, byte Which)[] history, int seed)
    {
        using var zone = new SimulatedZone(seed);
        foreach (var (what, who, which) in history)
        {
            await zone.StepAsync(what, who, which);
        }

        await zone.AssertConvergesAsync();
    }

    [Property(MaxTest = 50)]
    public async Task After_a_long_history_it_does_so_too(int seed)
    {
        using var zone = new SimulatedZone(seed);
        var random = new Random(seed);
        for (var step = 0; step < 300; step++)
        {
            await zone.StepAsync(random.Next(32), random.Next(256), random.Next(256));
        }

        await zone.AssertConvergesAsync();
    }
}
