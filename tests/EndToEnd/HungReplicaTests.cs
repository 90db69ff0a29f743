using System.Diagnostics;
using System.Net;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary>One of two replicas of a zone's resolver hangs: it keeps its connections and its turn, and answers nothing.</summary>
public sealed class HungReplicaTests : IAsyncLifetime
{
    private const int Questions = 60;
    private const string Resolve = "spegel_dapr_blob_resolve_duration_seconds_count";

    /// <summary>A fifth of it is one wait for the replica that hangs: far more than a busy machine takes to answer.</summary>
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(5);

    private Cluster? _cluster;

    public async Task InitializeAsync() => _cluster = await Cluster.StartAsync(ClusterPlan.OneZone(nodes: 2, replicas: 2) with
    {
        Settings = new Dictionary<string, string> { ["Blob__ResolveBudget"] = Budget.ToString() },
    });

    public async Task DisposeAsync()
    {
        if (_cluster is not null)
        {
            await _cluster.DisposeAsync();
        }
    }

    [RealFact]
    [Trait("Suite", "core")]
    public async Task Questions_go_on_being_answered_and_one_in_ten_seconds_waits()
    {
        var (holder, asker) = (_cluster!.Nodes[0], _cluster.Nodes[1]);
        var image = await _cluster.Images.PushAsync([1024, 1024]);
        await holder.Containerd.PullAsync(image.Reference);
        await holder.IsOfferedAsync([.. image.Digests, image.Tag], asker: asker);
        using var http = new HttpClient();
        await Task.WhenAll(_cluster.Zones[0].Replicas.Select(replica => Eventually.HoldsAsync("each replica answers", async () =>
        {
            using var response = await http.GetAsync(new Uri(replica.App, NodeAnswer.Method(new PeerClaim(asker.Identity.Location, asker.Identity.Name))));
            return response.IsSuccessStatusCode;
        })));

        var frozen = _cluster.Zones[0].Replicas[1].Process;
        frozen.Freeze();
        try
        {
            var unanswered = await asker.MetricAsync(Resolve, "outcome=\"unavailable\"");
            var asked = Stopwatch.GetTimestamp();
            for (var i = 0; i < Questions; i++)
            {
                var nobodys = Digest.OfSha256(Guid.NewGuid().ToByteArray());
                using var request = new HttpRequestMessage(HttpMethod.Head, new Uri(asker.Identity.Address.Uri, $"v2/team/none/blobs/{nobodys}"));
                using var response = await http.SendAsync(request);
                Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
            }

            // If each question to the replica that hangs waited, that would be half a minute.
            Assert.InRange(Stopwatch.GetElapsedTime(asked), TimeSpan.Zero, Questions / 4 * (Budget / 5));
            await asker.Containerd.PullAsync(image.Reference);
            await asker.HasServedAsync(Tier.SameZone, image.BlobBytes);
            Assert.Equal(unanswered, await asker.MetricAsync(Resolve, "outcome=\"unavailable\""));
        }
        finally
        {
            frozen.Thaw();
        }
    }
}
