using System.Globalization;
using System.Net;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>
/// Faults in the middle of a storm, after which all nodes that were not struck themselves have the image at the first attempt. There are as many
/// rounds of each as SPEGEL_DAPR_STORM_ROUNDS says, by default one.
/// </summary>
[Trait("Suite", "containerd")]
[Trait("Suite", "pulls")]
public sealed class StormTests(StormTests.Fixture fixture) : LabTests(fixture), IClassFixture<StormTests.Fixture>
{
    private const int LinkRate = 40;

    private static readonly int Rounds = int.Parse(Environment.GetEnvironmentVariable("SPEGEL_DAPR_STORM_ROUNDS") ?? "1", CultureInfo.InvariantCulture);

    private readonly UpstreamProxy _upstream = fixture.Upstream;

    [LabFact]
    public Task The_lead_is_lost() => InStormAsync(async storm => await LoseAsync(storm, (await storm.LeadAsync()).Node));

    [LabFact]
    public Task A_follower_that_is_followed_is_lost() => InStormAsync(async storm => await LoseAsync(storm, (await storm.LinkAsync()).Node));

    [LabFact]
    public Task The_leads_pull_is_cancelled() => InStormAsync(async storm =>
    {
        var lead = (await storm.LeadAsync()).Node;
        await storm.KillAsync(lead);
        await storm.AssertSucceedsAsync(butOn: lead);
        await storm.RepeatAsync(lead);
    });

    [LabFact]
    public Task The_leads_upstream_answers_401() => InStormAsync(storm => FailUpstreamAsync(storm, HttpStatusCode.Unauthorized));

    [LabFact]
    public Task The_leads_upstream_answers_429() => InStormAsync(storm => FailUpstreamAsync(storm, HttpStatusCode.TooManyRequests));

    [LabFact]
    public Task The_leads_upstream_answers_500() => InStormAsync(storm => FailUpstreamAsync(storm, HttpStatusCode.InternalServerError));

    [LabFact]
    public Task The_leads_upstream_hangs() => InStormAsync(storm => FailUpstreamAsync(storm, answer: null));

    [LabFact]
    public Task The_resolver_restarts() => InStormAsync(async storm =>
    {
        await storm.LinkAsync();
        await ZoneA.Resolver.RestartAsync();
        await storm.AssertSucceedsAsync();
    });

    [LabFact]
    public Task Redis_restarts() => InStormAsync(async storm =>
    {
        await storm.LinkAsync();
        await Lab.Cluster.Backend.StopBrokerAsync();
        await Lab.Cluster.Backend.StartBrokerAsync();
        await storm.AssertSucceedsAsync();
    });

    /// <summary>
    /// containerd digests what it writes, so the lead's own pull succeeds, and rot is found by those alone who read what it has written. It strikes
    /// when later bytes have been written: its blob reads along moments behind, and what changes before that nobody can know.
    /// </summary>
    [LabFact]
    public Task What_the_lead_has_written_rots_before_others_read_it() => RoundsAsync(async storm =>
    {
        const string Refusals = "spegel_dapr_blob_corrupt_total";
        var lead = ZoneA.Nodes[0];
        var before = await lead.MetricAsync(Refusals);
        storm.Start([lead]);
        var (_, layer) = await storm.LeadAsync();
        var ingest = lead.Containerd.IngestOf(layer.Digest)!;
        await Eventually.HoldsAsync("more of the layer has been written", () =>
        {
            ingest.Refresh();
            return ingest.Exists && ingest.Length >= 3 * MiB;
        });
        Rot.FlipByte(ingest.FullName, 0);
        storm.Start([.. ZoneA.Nodes.Skip(1)]);
        await storm.AssertSucceedsAsync(butOn: lead);
        Assert.True(await lead.MetricAsync(Refusals) > before, "Nobody has asked for what has rotted.");
    });

    private static async Task LoseAsync(PullStorm storm, Node node)
    {
        await Task.WhenAll(storm.KillAsync(node), node.KillAsync());
        try
        {
            await storm.AssertSucceedsAsync(butOn: node);
        }
        finally
        {
            await node.RestartAsync();
        }
    }

    /// <summary>The lead's pull may fail, as it would without a mirror.</summary>
    private async Task FailUpstreamAsync(PullStorm storm, HttpStatusCode? answer)
    {
        var lead = (await storm.LeadAsync()).Node;
        _upstream.Strike(lead.Machine, answer);
        try
        {
            await storm.AssertSucceedsAsync(butOn: lead);
        }
        finally
        {
            _upstream.Heal();
        }

        await storm.RepeatAsync(lead);
    }

    private Task InStormAsync(Func<PullStorm, Task> strikeAsync) => RoundsAsync(async storm =>
    {
        storm.Start(ZoneA.Nodes);
        await strikeAsync(storm);
    });

    private async Task RoundsAsync(Func<PullStorm, Task> roundAsync)
    {
        for (var round = 0; round < Rounds; round++)
        {
            await Task.WhenAll(ZoneA.Nodes.Select(node => node.CanResolveAsync()));
            await using var storm = new PullStorm(await PushAsync(6 * MiB, 6 * MiB, 6 * MiB, 6 * MiB));
            await roundAsync(storm);
        }
    }

    /// <summary>A zone whose nodes have slow links, so that a storm has a middle.</summary>
    public sealed class Fixture : ZoneLabFixture
    {
        private UpstreamProxy? _upstream;

        internal UpstreamProxy Upstream => _upstream!;

        private protected override IReadOnlyList<LabZone> Zones => [Zone("north/zone-a", 6)];

        private protected override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>
        {
            ["Blob__StallBudget"] = "00:00:02",
        };

        private protected override async Task PrepareAsync()
        {
            _upstream = await UpstreamProxy.StartAsync(Lab.Cluster.Registry);
            foreach (var node in Lab.Cluster.Nodes)
            {
                node.Containerd.SetUpstream(_upstream.Address);
                await Lab.LimitAsync(node, LinkRate);
            }
        }

        public override async Task DisposeAsync()
        {
            if (_upstream is not null)
            {
                await _upstream.DisposeAsync();
            }

            await base.DisposeAsync();
        }
    }
}
