using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Unit.Resolver;

/// <summary>Nodes, a broker that may deliver late, twice, in any order or not at all, and two replicas of a resolver over one store.</summary>
internal sealed class SimulatedZone : IDisposable
{
    private const int Nodes = 4;
    private const int MostRounds = 40;

    private static readonly ContentKey[] Keys =
    [
        .. Enumerable.Range(0, 6).Select(i => ContentKey.FromDigest(DigestOf(i))),
        ContentKey.Parse("docker.io/library/app:1"),
        ContentKey.Parse("ghcr.io/team/app:latest"),
    ];

    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(50));
    private readonly MemoryHolderStore _store;
    private readonly ResolverReplica[] _replicas;
    private readonly SimulatedNode[] _nodes;
    private readonly Random _random;
    private readonly List<LayerEvent> _undelivered = [];
    private int _digests;

    public SimulatedZone(int seed)
    {
        _random = new Random(seed);
        _store = new MemoryHolderStore(_time) { FailureRate = 0.05 };
        _replicas = [.. Enumerable.Range(0, 2).Select(_ => new ResolverReplica(_store, _time))];
        _nodes = [.. Enumerable.Range(0, Nodes).Select(i => new SimulatedNode($"node-{i}", _time, _undelivered.Add))];
        Array.ForEach(_nodes, node => node.Start());
    }

    /// <summary>One step of a history; any three numbers name one.</summary>
    public async Task StepAsync(int what, int who, int which)
    {
        var node = _nodes[who % Nodes];
        var key = Keys[which % Keys.Length];
        switch (what % 32)
        {
            case < 6:
                node.Hold(Held(key, which));
                break;
            case 6:
                node.Hold([.. Keys.Where((_, i) => ((which >> i) & 1) == 1).Select(one => Held(one, which))]);
                break;
            case < 12:
                node.Lose(key);
                break;
            case 12:
                node.Start();
                break;
            case 13:
                node.Leave();
                break;
            case 14:
                node.Crash();
                break;
            case 15 or 16:
                node.Heartbeat();
                break;
            case < 22:
                await DeliverAsync(1 + (which % 6));
                break;
            case < 24:
                await DeliverAsync(1 + (which % 6), isTwice: true);
                break;
            case < 27 when _undelivered.Count > 0:
                _undelivered.RemoveAt(_random.Next(_undelivered.Count));
                break;
            case 27:
                _time.Advance(TimeSpan.FromSeconds(which % 40));
                break;
            case 28:
                _store.Lose((which % 3) switch { 0 => "", 1 => "node|", _ => $"node|default|default|{node.Identity.Name}" });
                break;
            case 29:
                _store.IsDown = !_store.IsDown;
                break;
            case 30 or 31:
                await AskAsync(node);
                break;
            default:
                break;
        }
    }

    /// <summary>
    /// Lets the dust settle: the store is up, nothing more is lost, running nodes send heartbeats and ask what was heard. Then the view of
    /// each replica must be what the nodes hold, and no more snapshots be needed.
    /// </summary>
    public async Task AssertConvergesAsync()
    {
        _store.IsDown = false;
        var quietRounds = 0;
        var problem = "";
        for (var round = 0; round < MostRounds && quietRounds < 3; round++)
        {
            foreach (var node in _nodes)
            {
                node.Heartbeat();
            }

            while (_undelivered.Count > 0)
            {
                await DeliverAsync(8, isTwice: _random.Next(4) == 0);
            }

            _time.Advance(TimeSpan.FromSeconds(20));
            var isNeeded = false;
            foreach (var node in _nodes)
            {
                isNeeded |= await AskAsync(node);
            }

            problem = isNeeded ? "snapshots are still needed" : await DifferenceAsync();
            quietRounds = problem.Length == 0 ? quietRounds + 1 : 0;
        }

        Assert.True(quietRounds == 3, $"After {MostRounds} rounds the view is not what the nodes hold: {problem}");
    }

    public void Dispose()
    {
        foreach (var replica in _replicas)
        {
            replica.Dispose();
        }
    }

    private static Digest DigestOf(int number) => Digest.OfSha256(BitConverter.GetBytes(number));

    private HeldKey Held(ContentKey key, int which) =>
        key.IsTag ? new HeldKey(key, DigestOf(which % 3), _time.GetUtcNow().AddMilliseconds(++_digests)) : new HeldKey(key);

    /// <summary>Delivers some events at once, in random order, to random replicas; what is answered with RETRY is delivered again later.</summary>
    private async Task DeliverAsync(int most, bool isTwice = false)
    {
        var events = _undelivered.OrderBy(_ => _random.Next()).Take(most).ToList();
        _undelivered.RemoveAll(events.Contains);
        var deliveries = (isTwice ? events.Concat(events) : events).Select(one => (Event: one, Replica: _replicas[_random.Next(_replicas.Length)])).ToList();
        var all = Task.WhenAll(deliveries.Select(async delivery => (delivery.Event, Answer: await delivery.Replica.DeliverAsync(delivery.Event))));
        foreach (var (layerEvent, answer) in await _time.RunAsync(all))
        {
            Assert.True(answer is "SUCCESS" or "RETRY", $"A good event was answered with {answer}.");
            if (answer == "RETRY")
            {
                _undelivered.Add(layerEvent);
            }
        }
    }

    /// <summary>Has a running node ask a replica; returns whether it sends a snapshot, or does not know because the store has failed a moment ago.</summary>
    private async Task<bool> AskAsync(SimulatedNode node)
    {
        if (!node.IsRunning)
        {
            return false;
        }

        try
        {
            return node.Hear(await _time.RunAsync(_replicas[_random.Next(_replicas.Length)].AskAsync(node.Question)));
        }
        catch (StoreUnavailableException)
        {
            // It is down, or was so a moment ago. A node asks again.
            return true;
        }
    }

    private async Task<string> DifferenceAsync()
    {
        var expected = (from node in _nodes where node.IsRunning from held in node.Content select $"{held.Key} {held.Digest} on {node.Identity}").ToHashSet();
        foreach (var replica in _replicas)
        {
            var found = await _time.RunAsync(replica.FindAsync(Keys));
            var actual = (from key in found from holder in key select $"{key.Key} {holder.Digest} on {holder.Node}").ToHashSet();
            if (!actual.SetEquals(expected))
            {
                return $"missing {string.Join(", ", expected.Except(actual))}; too many {string.Join(", ", actual.Except(expected))}";
            }
        }

        return "";
    }
}
