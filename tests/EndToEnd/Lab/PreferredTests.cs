using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>Mode <c>preferred</c>: the nearest zone that has it, and a farther one only when no nearer one does.</summary>
public sealed class PreferredTests(PreferredTests.Fixture fixture) : LabTests(fixture), IClassFixture<PreferredTests.Fixture>
{
    [LabFact]
    public async Task With_a_holder_in_the_zone_no_layer_byte_leaves_it_or_comes_in()
    {
        var image = await PushAsync(3 * MiB, 5 * MiB);
        var asker = ZoneA.Nodes[1];
        await HoldAsync(image, ZoneC.Nodes[0], asker);
        await HoldAsync(image, ZoneB.Nodes[0], asker);
        await HoldAsync(image, ZoneA.Nodes[0], asker);

        var between = await GrowthAsync(
            Lab.BytesBetweenZonesAsync,
            async () => AssertCarriedNoLayer(
                await GrowthAsync(() => Lab.BytesAsync(ZoneA, LabLink.Upstream), () => asker.Containerd.PullAsync(image.Reference)), image));

        AssertCarriedNoLayer(between, image);
    }

    [LabFact]
    public async Task With_none_in_the_zone_the_next_tier_is_used_and_no_farther_one()
    {
        var image = await PushAsync(3 * MiB, 5 * MiB);
        var asker = ZoneA.Nodes[0];
        await HoldAsync(image, ZoneC.Nodes[0], asker);
        await HoldAsync(image, ZoneB.Nodes[0], asker);

        var fromOtherRegion = await GrowthAsync(
            () => Lab.BytesAsync(ZoneC, LabLink.Zones),
            async () => AssertAllFrom(Tier.SameRegion, await PulledAsync(asker, () => asker.Containerd.PullAsync(image.Reference)), image));

        AssertCarriedNoLayer(fromOtherRegion, image);
    }

    [LabFact]
    public async Task With_none_in_the_region_another_region_is_used_before_upstream()
    {
        var image = await PushAsync(3 * MiB, 5 * MiB);
        var asker = ZoneA.Nodes[0];
        await HoldAsync(image, ZoneC.Nodes[0], asker);

        var upstream = await GrowthAsync(
            () => Lab.BytesAsync(ZoneA, LabLink.Upstream),
            async () => AssertAllFrom(Tier.CrossRegion, await PulledAsync(asker, () => asker.Containerd.PullAsync(image.Reference)), image));

        AssertCarriedNoLayer(upstream, image);
    }

    [LabFact]
    public async Task When_every_holder_of_the_zone_has_died_the_next_tier_completes_the_pull()
    {
        var image = await PushAsync(3 * MiB, 5 * MiB);
        var asker = ZoneA.Nodes[2];
        Node[] near = [ZoneA.Nodes[0], ZoneA.Nodes[1]];
        await HoldAsync(image, ZoneB.Nodes[0], asker);
        await HoldAsync(image, near[0], asker);
        await HoldAsync(image, near[1], asker);

        await Task.WhenAll(near.Select(node => node.KillAsync()));
        try
        {
            var upstream = await GrowthAsync(
                () => Lab.BytesAsync(ZoneA, LabLink.Upstream),
                async () => AssertAllFrom(Tier.SameRegion, await PulledAsync(asker, () => asker.Containerd.PullAsync(image.Reference)), image));
            AssertCarriedNoLayer(upstream, image);
        }
        finally
        {
            await Task.WhenAll(near.Select(node => node.RestartAsync()));
        }
    }

    [LabFact]
    public async Task A_zone_that_is_cut_off_goes_on_as_do_the_others_and_they_agree_when_it_is_back()
    {
        var (inside, outside) = (await PushAsync(3 * MiB), await PushAsync(3 * MiB));
        var before = await PushAsync(3 * MiB);
        await HoldAsync(before, ZoneA.Nodes[0], ZoneB.Nodes[0], ZoneC.Nodes[0]);

        await Lab.CutAsync(ZoneC);
        try
        {
            AssertAllFrom(Tier.SameRegion, await PulledAsync(ZoneB.Nodes[0], () => ZoneB.Nodes[0].Containerd.PullAsync(before.Reference)), before);
            await HoldAsync(outside, ZoneA.Nodes[0], ZoneB.Nodes[0]);
            AssertAllFrom(Tier.SameRegion, await PulledAsync(ZoneB.Nodes[0], () => ZoneB.Nodes[0].Containerd.PullAsync(outside.Reference)), outside);

            foreach (var image in new[] { before, inside })
            {
                await ZoneC.Nodes[0].Containerd.PullAsync(image.Reference).WaitAsync(PullBudgetWhileCut);
            }
        }
        finally
        {
            await Lab.JoinAsync(ZoneC);
        }

        await ZoneC.Nodes[0].IsOfferedAsync([.. inside.Digests, inside.Tag], ConvergenceBudget, asker: ZoneA.Nodes[0]);
        await ZoneA.Nodes[0].IsOfferedAsync([.. outside.Digests, outside.Tag], ConvergenceBudget, asker: ZoneC.Nodes[1]);
        AssertAllFrom(Tier.CrossRegion, await PulledAsync(ZoneC.Nodes[1], () => ZoneC.Nodes[1].Containerd.PullAsync(outside.Reference)), outside);
    }

    private static TimeSpan PullBudgetWhileCut => TimeSpan.FromSeconds(30);

    private static TimeSpan ConvergenceBudget => TimeSpan.FromSeconds(60);

    private static void AssertAllFrom(Tier tier, IReadOnlyDictionary<Tier, double> pulled, TestImage image)
    {
        Assert.True(pulled[tier] >= image.BlobBytes, $"From {tier.Name()} came {pulled[tier]} of {image.BlobBytes} bytes.");
        Assert.All(pulled.Where(other => other.Key != tier), other => Assert.Equal(0, other.Value));
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
