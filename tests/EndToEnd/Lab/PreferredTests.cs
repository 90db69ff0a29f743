using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>Mode <c>preferred</c>: the nearest zone that has it, and a farther one only when no nearer one does.</summary>
public sealed class PreferredTests(PreferredTests.Fixture fixture) : LabTests(fixture), IClassFixture<PreferredTests.Fixture>
{
    private static readonly TimeSpan PullBudgetWhileCut = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan ConvergenceBudget = TimeSpan.FromSeconds(60);

    [LabFact]
    public async Task With_a_holder_in_the_zone_no_layer_byte_comes_from_elsewhere()
    {
        var image = await PushAsync(3 * MiB, 5 * MiB);
        var asker = ZoneA.Nodes[1];
        await HoldAsync(image, ZoneC.Nodes[0], asker);
        await HoldAsync(image, ZoneB.Nodes[0], asker);
        await HoldAsync(image, ZoneA.Nodes[0], asker);

        await AssertComesFromAsync(asker, image, ZoneA);
    }

    [LabFact]
    public async Task With_none_in_the_zone_the_next_tier_is_used_and_no_farther_one()
    {
        var image = await PushAsync(3 * MiB, 5 * MiB);
        var asker = ZoneA.Nodes[0];
        await HoldAsync(image, ZoneC.Nodes[0], asker);
        await HoldAsync(image, ZoneB.Nodes[0], asker);

        await AssertComesFromAsync(asker, image, ZoneB);
    }

    [LabFact]
    public async Task With_none_in_the_region_another_region_is_used_before_upstream()
    {
        var image = await PushAsync(3 * MiB, 5 * MiB);
        var asker = ZoneA.Nodes[0];
        await HoldAsync(image, ZoneC.Nodes[0], asker);

        await AssertComesFromAsync(asker, image, ZoneC);
    }

    [LabFact]
    public async Task When_every_holder_of_the_zone_has_died_the_next_tier_completes_the_pull()
    {
        var image = await PushAsync(3 * MiB, 5 * MiB);
        var asker = ZoneA.Nodes[2];
        Node[] near = [ZoneA.Nodes[0], ZoneA.Nodes[1]];
        await HoldAsync(image, ZoneC.Nodes[0], asker);
        await HoldAsync(image, ZoneB.Nodes[0], asker);
        await HoldAsync(image, near[0], asker);
        await HoldAsync(image, near[1], asker);

        await Task.WhenAll(near.Select(node => node.KillAsync()));
        try
        {
            await AssertComesFromAsync(asker, image, ZoneB);
        }
        finally
        {
            await Task.WhenAll(near.Select(node => node.RestartAsync()));
        }
    }

    [LabFact]
    public async Task A_zone_that_is_cut_off_goes_on_as_do_the_others_and_they_agree_when_it_is_back()
    {
        var (before, outside, inside) = (await PushAsync(3 * MiB), await PushAsync(3 * MiB), await PushAsync(3 * MiB));
        await HoldAsync(before, ZoneA.Nodes[0], ZoneB.Nodes[0], ZoneC.Nodes[0]);

        await Lab.CutAsync(ZoneC);
        try
        {
            await AssertComesFromAsync(ZoneB.Nodes[0], before, ZoneA);
            await HoldAsync(outside, ZoneA.Nodes[0], ZoneB.Nodes[0]);
            await AssertComesFromAsync(ZoneB.Nodes[0], outside, ZoneA);
            await AssertComesFromAsync(ZoneC.Nodes[0], before, source: null).WaitAsync(PullBudgetWhileCut);
            await AssertComesFromAsync(ZoneC.Nodes[0], inside, source: null).WaitAsync(PullBudgetWhileCut);
        }
        finally
        {
            await Lab.JoinAsync(ZoneC);
        }

        await ZoneC.Nodes[0].IsOfferedAsync([.. inside.Digests, inside.Tag], ConvergenceBudget, asker: ZoneA.Nodes[0]);
        await ZoneA.Nodes[0].IsOfferedAsync([.. outside.Digests, outside.Tag], ConvergenceBudget, asker: ZoneC.Nodes[1]);
        await AssertComesFromAsync(ZoneA.Nodes[0], inside, ZoneC);
    }

    /// <summary>Three zones, two of them in one region.</summary>
    public sealed class Fixture : ZoneLabFixture
    {
        private protected override IReadOnlyList<LabZone> Zones => [Zone("north/zone-a", 3), Zone("north/zone-b", 3), Zone("south/zone-c", 3)];

        private protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
        {
            ["Zones__Mode"] = "preferred",
            ["Zones__FarthestTier"] = "crossRegion",
        };
    }
}
