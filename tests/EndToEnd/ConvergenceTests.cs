using System.Diagnostics;
using System.Text;
using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;
using SpegelDapr.LocalDapr;

namespace SpegelDapr.EndToEnd;

/// <summary>What resolvers answer becomes what nodes hold, whatever happens to the nodes, to what they say and to the store.</summary>
public sealed class ConvergenceTests
{
    private const int Steps = 60;

    /// <summary>How many deliveries in a hundred come twice.</summary>
    private const int Duplicates = 40;

    /// <summary>Longer than the time between the events of a node that changes, so that they overtake each other.</summary>
    private static readonly TimeSpan LongestDelay = TimeSpan.FromMilliseconds(500);

    /// <summary>How long the answers must stay right: by then all that was under way has arrived, and some heartbeats too.</summary>
    private static readonly TimeSpan Settled = TimeSpan.FromSeconds(1.5);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task After_any_history_both_resolvers_answer_what_the_nodes_hold(int seed)
    {
        await using var zone = await InProcessZone.StartAsync(
            Backend.InMemoryResources, nodes: 3, new DeliveryFaults(seed, Duplicates, LongestDelay));
        var history = new History(zone, seed);
        await history.StartNodesAsync();
        for (var step = 0; step < Steps; step++)
        {
            await history.StepAsync();
            if (step == Steps / 2)
            {
                await history.LoseStoreAsync();
            }
        }

        await AssertConvergesAsync(zone, history.Keys, $"Seed {seed}");
    }

    [RealFact]
    public async Task Nodes_that_announce_the_same_600_keys_at_once_are_all_found_on_Redis()
    {
        using var directory = new TestDirectory();
        await using var backend = new Backend(directory, set: Backend.Redis);
        await backend.StartAsync();
        await using var zone = await InProcessZone.StartAsync([backend.WriteResources()], nodes: 3);
        var contents = Enumerable.Range(0, 600).Select(Content.Layer).ToList();
        foreach (var node in zone.Nodes)
        {
            foreach (var content in contents)
            {
                await content.AddToAsync(node);
            }
        }

        await Task.WhenAll(zone.Nodes.Select(node => node.Discovery.StartAsync()));

        await AssertConvergesAsync(zone, [.. contents.Select(content => ContentKey.FromDigest(content.Digest))], "On Redis");
    }

    private static async Task AssertConvergesAsync(InProcessZone zone, IReadOnlyCollection<ContentKey> keys, string which)
    {
        var expected = WhatIsHeld(zone, keys);
        var difference = "there was no answer";
        var right = new Stopwatch();
        try
        {
            await Eventually.HoldsAsync("the answers are what the nodes hold", async () =>
            {
                var answers = (await zone.ResolveAsync(keys)).Concat(await zone.ResolveAsync(keys)).Select(answer =>
                    (answer.Key, Text: Describe(answer.Digest, answer.Holders.Select(holder => holder.Node.Name))));
                difference = string.Join("", answers
                    .Where(answer => answer.Text != expected[answer.Key])
                    .Select(answer => $"\n{answer.Key}: answered {answer.Text}, but it is {expected[answer.Key]}")
                    .Distinct());
                if (difference.Length > 0)
                {
                    right.Reset();
                }
                else
                {
                    right.Start();
                }

                return right.Elapsed >= Settled;
            });
        }
        catch (TimeoutException e)
        {
            Assert.Fail($"{which}: {e.Message} {difference}");
        }
    }

    /// <summary>The right answer for each key. A tag is what the running node says that was the last to point it anywhere.</summary>
    private static Dictionary<ContentKey, string> WhatIsHeld(InProcessZone zone, IEnumerable<ContentKey> keys)
    {
        var holders = zone.Nodes
            .Where(node => node.Discovery.IsRunning)
            .SelectMany(node => node.ReadContent().Select(held => (Held: held, node.Name)))
            .ToLookup(holder => holder.Held.Key);
        return keys.ToDictionary(key => key, key =>
        {
            var digest = holders[key].OrderByDescending(holder => holder.Held.UpdatedAt).FirstOrDefault().Held?.Digest;
            return Describe(digest, holders[key].Where(holder => holder.Held.Digest == digest).Select(holder => holder.Name));
        });
    }

    private static string Describe(Digest? digest, IEnumerable<NodeName> holders) =>
        $"{(digest is null ? "" : $"{digest} ")}on [{string.Join(", ", holders.Select(name => $"{name}").Order(StringComparer.Ordinal))}]";

    /// <summary>What a node may hold.</summary>
    private sealed record Content(string MediaType, string Text)
    {
        public Digest Digest { get; } = Digest.OfSha256(Encoding.UTF8.GetBytes(Text));

        public OciDescriptor Descriptor => new(MediaType, Digest, Encoding.UTF8.GetByteCount(Text));

        public static Content Layer(int number) => new(OciMediaTypes.LayerGzip, $"layer {number}");

        public static Content Manifest(int release) => new(OciMediaTypes.Manifest, $"release {release}");

        public async Task AddToAsync(InProcessNode node) =>
            await node.Layout.AddAsync(MediaType, stream => stream.WriteAsync(Encoding.UTF8.GetBytes(Text)).AsTask());

        public void RemoveFrom(InProcessNode node) => File.Delete(node.Layout.BlobPath(Digest));
    }

    /// <summary>
    /// What happens in a zone, chosen by a seed: layers come and go, releases are tagged, discoveries stop and start, the store forgets.
    /// </summary>
    private sealed class History(InProcessZone zone, int seed)
    {
        private const int Layers = 40;
        private const int MostAtOnce = 12;

        private static readonly ImageReference Image = ImageReference.Parse("registry.test/team/app:latest");
        private static readonly TimeSpan LongestPause = TimeSpan.FromMilliseconds(60);

        /// <summary>Many times what discovery takes to look at a layout.</summary>
        private static readonly TimeSpan TagPause = TimeSpan.FromMilliseconds(40);

        private readonly Random _random = new(seed);
        private readonly Dictionary<InProcessNode, int> _releases = zone.Nodes.ToDictionary(node => node, _ => 0);
        private int _latest;

        /// <summary>All that any node has ever held.</summary>
        public IReadOnlyList<ContentKey> Keys =>
        [
            .. Enumerable.Range(0, Layers).Select(number => ContentKey.FromDigest(Content.Layer(number).Digest)),
            .. Enumerable.Range(1, _latest).Select(release => ContentKey.FromDigest(Content.Manifest(release).Digest)),
            ContentKey.Parse(Image.ToString()),
        ];

        public Task StartNodesAsync() => Task.WhenAll(zone.Nodes.Select(node => node.Discovery.StartAsync()));

        public async Task StepAsync()
        {
            var node = zone.Nodes[_random.Next(zone.Nodes.Count)];
            switch (_random.Next(20))
            {
                case < 6:
                    foreach (var layer in SomeLayers())
                    {
                        await layer.AddToAsync(node);
                    }

                    break;
                case < 11:
                    foreach (var layer in SomeLayers())
                    {
                        layer.RemoveFrom(node);
                    }

                    break;
                case < 14:
                    await ReleaseAsync(node);
                    break;
                case 14:
                    Content.Manifest(_releases[node]).RemoveFrom(node);
                    break;
                case 15 or 16:
                    await node.Discovery.StopAsync();
                    await node.Discovery.StartAsync();
                    break;
                case 17 when node.Discovery.IsRunning:
                    await node.Discovery.StopAsync();
                    break;
                case 17 or 18 when !node.Discovery.IsRunning:
                    await node.Discovery.StartAsync();
                    break;
                default:
                    await zone.LoseLeaseAsync(node);
                    break;
            }

            await Task.Delay(LongestPause * _random.NextDouble());
        }

        /// <summary>Empties the store while the resolvers restart; what nodes say meanwhile waits for them.</summary>
        public async Task LoseStoreAsync()
        {
            await zone.StopResolversAsync();
            await zone.EmptyStoreAsync(Keys);
            await zone.StartResolversAsync();
        }

        /// <summary>
        /// Points the tag at the latest release, or at a new one. A layout keeps no time for a tag: it is that of its index.json when
        /// discovery first sees both tag and manifest. So the manifest comes second, when the file has its time.
        /// </summary>
        private async Task ReleaseAsync(InProcessNode node)
        {
            if (_releases[node] == _latest || _random.Next(2) == 0)
            {
                _latest++;
            }

            _releases[node] = _latest;
            var manifest = Content.Manifest(_latest);
            node.Layout.Tag(Image, manifest.Descriptor);
            await Task.Delay(TagPause);
            await manifest.AddToAsync(node);
        }

        private IEnumerable<Content> SomeLayers()
        {
            var count = 1 + _random.Next(MostAtOnce);
            return Enumerable.Range(0, count).Select(_ => Content.Layer(_random.Next(Layers)));
        }
    }
}
