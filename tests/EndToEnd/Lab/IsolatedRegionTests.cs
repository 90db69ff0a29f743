using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>
/// Mode <c>isolated</c> by region. The resolvers' reach and their sidecars' scopes name all zones here, so the mode alone keeps the boundary.
/// </summary>
public sealed class IsolatedRegionTests(IsolatedRegionTests.Fixture fixture) : LabTests(fixture), IClassFixture<IsolatedRegionTests.Fixture>
{
    [LabFact]
    public async Task Another_zone_of_the_region_serves()
    {
        var image = await PushAsync(3 * MiB, 5 * MiB);
        await HoldAsync(image, ZoneC.Nodes[0]);
        await HoldAsync(image, ZoneB.Nodes[0], ZoneA.Nodes[0]);

        await AssertComesFromAsync(ZoneA.Nodes[0], image, ZoneB);
    }

    [LabFact]
    public async Task An_image_that_only_another_region_has_comes_from_upstream()
    {
        var image = await PushAsync(3 * MiB, 5 * MiB);
        await HoldAsync(image, ZoneC.Nodes[0]);

        await AssertComesFromAsync(ZoneA.Nodes[0], image, source: null);
    }

    /// <summary>Three zones, two of them in one region.</summary>
    public sealed class Fixture : ZoneLabFixture
    {
        private protected override IReadOnlyList<LabZone> Zones => [Zone("north/zone-a", 1), Zone("north/zone-b", 1), Zone("south/zone-c", 1)];

        private protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
        {
            ["Zones__Mode"] = "isolated",
            ["Zones__Boundary"] = "region",
        };
    }
}
