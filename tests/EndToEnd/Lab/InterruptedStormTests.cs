using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>
/// Kubelets that hang up in the middle and pull again. A containerd that fetches a layer in parallel goes on in parallel then, and one missing part fails its pull.
/// </summary>
[Trait("Suite", "pulls")]
public sealed class InterruptedStormTests(InterruptedStormTests.Fixture fixture) : LabTests(fixture), IClassFixture<InterruptedStormTests.Fixture>
{
    private const int LinkRate = 40;

    [LabFact]
    public async Task Each_pull_of_a_storm_is_interrupted_and_succeeds_at_the_next_attempt()
    {
        await using var storm = new PullStorm(await PushAsync(16 * MiB, 16 * MiB), asKubelet: true);
        storm.Start(ZoneA.Nodes);

        await Task.WhenAll(ZoneA.Nodes.Select(storm.InterruptAsync));

        await storm.AssertSucceedsAsync();
    }

    /// <summary>A zone of eight nodes with slow links.</summary>
    public sealed class Fixture : ZoneLabFixture
    {
        private protected override IReadOnlyList<LabZone> Zones => [Zone("north/zone-a", 8)];

        private protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>();

        private protected override async Task PrepareAsync()
        {
            foreach (var node in Lab.Cluster.Nodes)
            {
                await Lab.LimitAsync(node, LinkRate);
            }
        }
    }
}
