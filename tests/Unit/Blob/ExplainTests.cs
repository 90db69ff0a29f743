using System.Net;
using System.Net.Http.Json;
using System.Text;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

/// <summary>What <c>explain</c> says a pull would do is what a pull does then.</summary>
public sealed class ExplainTests : BlobTests
{
    private static readonly string[] Locations = ["eu/a", "eu/b", "us/a"];

    [Theory]
    [InlineData("isolated", "zone", "crossRegion")]
    [InlineData("isolated", "region", "crossRegion")]
    [InlineData("preferred", "zone", "crossRegion")]
    [InlineData("preferred", "zone", "sameRegion")]
    [InlineData("adaptive", "zone", "crossRegion")]
    public async Task In_random_worlds_a_pull_comes_from_where_explain_says_it_would(string mode, string boundary, string farthest)
    {
        var random = new Random(11);
        var node = Add(await BlobNode.StartAsync(
            Resolver, settings: [("Zones:Mode", mode), ("Zones:Boundary", boundary), ("Zones:FarthestTier", farthest)]));
        byte[] bytes = [];
        var good = Locations.ToDictionary(location => location, _ => Add(new ScriptedPeer(call => call.SendAsync(bytes))));
        var corrupt = Locations.ToDictionary(location => location, _ => Add(ScriptedPeer.Good([1, 2, 3])));
        var seen = new HashSet<Tier>();
        for (var world = 0; world < 60; world++)
        {
            bytes = Encoding.UTF8.GetBytes($"content {world} of {mode} {boundary} {farthest}");
            var digest = Digest.OfSha256(bytes);
            switch (random.Next(12))
            {
                case 0:
                    node.Keep(bytes);
                    break;
                case 1:
                    await File.WriteAllBytesAsync(node.PathOf(digest), TestContent.Flipped(bytes, 0));
                    break;
            }

            var holders = Locations.Where(_ => random.Next(3) == 0).Select(location => Named(good, "good", location)).ToList();
            if (random.Next(4) == 0)
            {
                // This one is caught now, so it counts for nothing afterwards.
                var caught = Named(corrupt, "corrupt", Locations[random.Next(Locations.Length)]);
                Resolver.Holds(digest, caught);
                using var vain = await node.GetAsync($"/v2/app/blobs/{digest}?ns=docker.io");
                holders.Add(caught);
            }

            Resolver.Holds(digest, [.. holders]);

            var explained = (await node.Http.GetFromJsonAsync(
                new Uri($"{Explanation.Path}?key={Uri.EscapeDataString(digest.ToString())}&ns=docker.io", UriKind.Relative), ContractsJson.Default.Explanation))!;
            using var pulled = await node.GetAsync($"/v2/app/blobs/{digest}?ns=docker.io");

            var tier = pulled.StatusCode == HttpStatusCode.NotFound ? Tier.Upstream.Name() : pulled.Headers.GetValues(SpegelHeaders.Tier).Single();
            Assert.True(explained.Decision.Name() == tier, $"world {world}: explained {explained.Decision} ({explained.Reason}), pulled {tier}");
            seen.Add(explained.Decision);
        }

        Assert.True(seen.Count >= 3, $"The worlds are all alike: {string.Join(", ", seen)}.");
    }

    private static Holder Named(Dictionary<string, ScriptedPeer> peers, string name, string location) =>
        peers[location].AsHolder($"{name}-{location.Replace('/', '-')}", location);
}
