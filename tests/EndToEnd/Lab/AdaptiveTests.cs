using System.Globalization;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>Mode <c>adaptive</c>: another zone only when it is expected to be quicker, or cheaper, than upstream.</summary>
public sealed class AdaptiveTests(AdaptiveTests.Fixture fixture) : LabTests(fixture), IClassFixture<AdaptiveTests.Fixture>
{
    private const int Slow = 20;
    private const int Fast = 200;

    /// <summary>Within how many pulls it must have found out.</summary>
    private const int MostPulls = 20;

    /// <summary>It has when all but one of so many pulls in a row came the same way: one may be there to try the other.</summary>
    private const int Settled = 5;

    private Node Holder => ZoneA.Nodes[0];

    private Node Asker => ZoneB.Nodes[0];

    [LabFact]
    public async Task The_quicker_way_is_taken_also_after_the_links_have_changed()
    {
        await StartAnewAsync(upstream: Fast, zones: Slow);
        await ComesToPullAsync(fromZone: false);

        await LimitAsync(upstream: Slow, zones: Fast);
        await ComesToPullAsync(fromZone: true);

        await LimitAsync(upstream: Fast, zones: Slow);
        await ComesToPullAsync(fromZone: false);
    }

    [LabFact]
    public async Task Of_ways_that_are_about_as_quick_the_cheaper_one_is_taken()
    {
        await StartAnewAsync(upstream: Fast, zones: Fast, priceOfUpstream: 0, priceOfZones: 1000);
        await ComesToPullAsync(fromZone: false);

        await StartAnewAsync(upstream: Fast, zones: Fast, priceOfUpstream: 1000, priceOfZones: 0);
        await ComesToPullAsync(fromZone: true);
    }

    /// <summary>Starts the asker's blob, which knows nothing then but what pulls of images that nobody else has teach it about upstream.</summary>
    private async Task StartAnewAsync(int upstream, int zones, int priceOfUpstream = 0, int priceOfZones = 0)
    {
        await LimitAsync(upstream, zones);
        Asker.Blob.Settings["Zones__Prices__Upstream"] = priceOfUpstream.ToString(CultureInfo.InvariantCulture);
        Asker.Blob.Settings["Zones__Prices__SameRegion"] = priceOfZones.ToString(CultureInfo.InvariantCulture);
        Asker.Blob.Settings["Zones__Prices__Second"] = "1";
        await Asker.Blob.RestartAsync();
        await Asker.AnswersAsync();
        await Asker.CanResolveAsync();
        for (var i = 0; i < 2; i++)
        {
            await Asker.Containerd.PullAsync((await PushLayersAsync()).Reference);
        }
    }

    private async Task LimitAsync(int upstream, int zones)
    {
        await Lab.LimitAsync(ZoneB, LabLink.Upstream, upstream);
        await Lab.LimitAsync(ZoneB, LabLink.Zones, zones);
    }

    /// <summary>Pulls images that the other zone holds until the asker takes them from there, or else from upstream.</summary>
    private async Task ComesToPullAsync(bool fromZone)
    {
        var shares = new List<double>();
        TestImage image;
        do
        {
            image = await PushLayersAsync();
            await HoldAsync(image, Holder, Asker);
            var before = await Lab.BytesBetweenZonesAsync();
            await Asker.Containerd.PullAsync(image.Reference);
            shares.Add((await Lab.BytesBetweenZonesAsync() - before) / (double)image.BlobBytes);
            if (shares.TakeLast(Settled).Count(share => share > 0.5 == fromZone) >= Settled - 1 && shares.Count >= Settled)
            {
                return;
            }
        }
        while (shares.Count < MostPulls);

        Assert.Fail(
            $"Within {MostPulls} pulls it did not come to pull from {(fromZone ? "the other zone" : "upstream")}. Shares from the other zone: "
            + $"{string.Join(' ', shares.Select(share => share.ToString("0.0", CultureInfo.InvariantCulture)))}. "
            + $"Of the last layer it says: {await ExplainAsync(image.Blobs[^1].Digest)}");
    }

    private Task<TestImage> PushLayersAsync() => PushAsync(MiB / 2, MiB / 2, MiB / 2, MiB / 2);

    private async Task<string> ExplainAsync(Digest digest)
    {
        using var http = Asker.Machine.CreateClient();
        using var response = await http.GetAsync(new Uri(Asker.Identity.Address.Uri, $"v1/explain?key={digest}"));
        return await response.Content.ReadAsStringAsync();
    }

    /// <summary>Two zones of one region with a node each.</summary>
    public sealed class Fixture : ZoneLabFixture
    {
        private protected override IReadOnlyList<LabZone> Zones => [Zone("north/zone-a", 1), Zone("north/zone-b", 1)];

        private protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string> { ["Zones__Mode"] = "adaptive" };
    }
}
