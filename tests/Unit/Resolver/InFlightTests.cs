using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver;
using SpegelDapr.Resolver.InFlight;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Unit.Resolver;

/// <summary>Nodes that ask the replicas of a resolver at once whom to follow.</summary>
public sealed class InFlightTests : IDisposable
{
    private static readonly Digest Layer = Digest.OfSha256([1]);
    private static readonly string Key = StoreKeys.InFlight(ResolverReplica.Location, Layer);

    /// <summary>With leases that outlast each test.</summary>
    private static readonly ResolverOptions Options = new() { LeaseDuration = TimeSpan.FromHours(1) };

    /// <summary>Below the budget of a write.</summary>
    private static readonly TimeSpan MostTime = TimeSpan.FromMilliseconds(900);

    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(50));
    private readonly MemoryHolderStore _store;
    private readonly ResolverReplica _one;
    private readonly ResolverReplica _other;

    public InFlightTests()
    {
        _store = new MemoryHolderStore(_time);
        _one = new ResolverReplica(_store, _time, Options);
        _other = new ResolverReplica(_store, _time, Options);
    }

    public void Dispose()
    {
        _one.Dispose();
        _other.Dispose();
    }

    [Fact]
    public async Task Of_two_hundred_nodes_at_once_one_leads_and_there_are_two_writes()
    {
        await LiveAsync(200);
        _store.Latency = TimeSpan.FromMilliseconds(5);
        var (reads, writes) = (_store.Reads, _store.Writes);

        var answers = await _time.RunAsync(Task.WhenAll(Enumerable.Range(0, 200).Select(i => AskAsync(_other, i))), MostTime);

        Assert.Single(answers, answer => answer.Parent is null);
        Assert.Equal(2, _store.Writes - writes);

        // Each time the document and the leases.
        Assert.Equal(4, _store.Reads - reads);
        await AssertSoundAsync(200);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(20)]
    public async Task Of_nodes_that_ask_two_replicas_at_once_one_leads(int nodesPerReplica)
    {
        await LiveAsync(2 * nodesPerReplica);
        _store.Latency = TimeSpan.FromMilliseconds(5);

        var answers = await _time.RunAsync(
            Task.WhenAll(Enumerable.Range(0, 2 * nodesPerReplica).Select(i => AskAsync(i % 2 == 0 ? _one : _other, i))), MostTime);

        Assert.Single(answers, answer => answer.Parent is null);
        await AssertSoundAsync(2 * nodesPerReplica);
    }

    [Fact]
    public async Task A_thousand_nodes_that_ask_two_replicas_for_twenty_seconds_cost_few_writes()
    {
        const int nodes = 1000;
        using var third = new ResolverReplica(_store, _time, Options);
        await LiveAsync(nodes);
        var writes = _store.Writes;
        var told = new Dictionary<NodeName, FollowAnswer>();

        for (var i = 0; i < nodes; i++)
        {
            told[Name(i)] = await AskAsync(i % 2 == 0 ? _one : _other, i);
            _time.Advance(TimeSpan.FromMilliseconds(20));
        }

        // A replica that knows nothing yet goes by what the others have written.
        told[Name(nodes)] = await AskAsync(third, nodes);

        Assert.InRange(_store.Writes - writes, 32, 32 + (2 * 20) + 2);
        Assert.Single(told.Values, answer => answer.Parent is null);
        Assert.InRange(told.Values.Max(answer => answer.Depth), 1, InFlightDocument.MostDepth);
        Assert.InRange(told.Values.GroupBy(answer => answer.Parent?.Name).Max(followers => followers.Count()), 1, 4);
    }

    [Fact]
    public async Task Of_many_nodes_that_one_is_slow_is_known_to_all_replicas_in_a_second_and_costs_no_write_of_its_own()
    {
        await LiveAsync(100);
        for (var i = 0; i < 50; i++)
        {
            await AskAsync(i % 2 == 0 ? _one : _other, i);
        }

        _time.Advance(TimeSpan.FromSeconds(1));
        await AskAsync(_one, 50);
        await AskAsync(_other, 51);
        var writes = _store.Writes;
        await _one.InFlight.FollowAsync(new FollowRequest(Name(10), ResolverReplica.Location, Layer, [], Slow: Name(10), OnlyTells: true), CancellationToken.None);

        Assert.Equal(writes, _store.Writes);
        _time.Advance(TimeSpan.FromSeconds(1));
        await AskAsync(_one, 52);
        await AskAsync(_other, 53);
        var known = await _other.InFlight.FindAsync(ResolverReplica.Location, Layer, CancellationToken.None);
        Assert.Equal(Name(10), Assert.Single(known, node => node.IsSlow).Node);
    }

    [Fact]
    public async Task A_node_that_has_failed_for_one_replica_is_not_brought_back_by_another()
    {
        await LiveAsync(200);
        for (var i = 0; i < 100; i++)
        {
            await AskAsync(i % 2 == 0 ? _one : _other, i);
        }

        var failed = (await InFlightAsync()).Last(node => node != Name(99));
        _time.Advance(InFlightDocument.RepeatsFor);
        await _one.InFlight.FollowAsync(new FollowRequest(Name(99), ResolverReplica.Location, Layer, [failed]), CancellationToken.None);
        _time.Advance(TimeSpan.FromSeconds(2));

        var told = new List<FollowAnswer>();
        for (var i = 100; i < 200; i++)
        {
            told.Add(await AskAsync(_other, i));
        }

        Assert.DoesNotContain(told, answer => answer.Parent?.Name == failed);
    }

    [Fact]
    public async Task Who_asks_two_replicas_at_once_gets_one_answer()
    {
        await LiveAsync(40);
        _store.Latency = TimeSpan.FromMilliseconds(5);

        var answers = await _time.RunAsync(
            Task.WhenAll(Enumerable.Range(0, 80).Select(async i => (Node: i / 2, Answer: await AskAsync(i % 2 == 0 ? _one : _other, i / 2)))), MostTime);

        Assert.All(answers.GroupBy(told => told.Node, told => told.Answer.Parent), told => Assert.Single(told.Distinct()));
        await AssertSoundAsync(40);
    }

    [Fact]
    public async Task A_write_that_has_succeeded_although_the_store_says_no_is_repeated_without_harm()
    {
        await LiveAsync(40);
        _store.FailureRate = 0.3;

        var answers = await _time.RunAsync(Task.WhenAll(Enumerable.Range(0, 40).Select(i => AskAsync(i % 2 == 0 ? _one : _other, i, isRepeated: true))));

        Assert.Single(answers, answer => answer.Parent is null);
        _store.FailureRate = 0;
        await AssertSoundAsync(40);
    }

    [Fact]
    public async Task Nodes_that_are_fetching_several_contents_lead_or_are_followed_in_turn()
    {
        await LiveAsync(8);
        var digests = Enumerable.Range(0, 4).Select(i => Digest.OfSha256([(byte)i])).ToArray();
        var followers = new Dictionary<NodeName, int>();
        for (var node = 0; node < 8; node++)
        {
            foreach (var digest in digests)
            {
                if ((await AskAsync(_one, node, digest: digest)).Parent is { } parent)
                {
                    followers[parent.Name] = followers.GetValueOrDefault(parent.Name) + 1;
                }
            }
        }

        Assert.Equal(7 * digests.Length, followers.Values.Sum());
        Assert.All(followers.Values, count => Assert.InRange(count, 1, digests.Length));
    }

    [Fact]
    public async Task A_node_without_a_lease_is_not_followed()
    {
        await AskAsync(_one, 0);

        AssertTold(0, null, await AskAsync(_one, 1));
    }

    [Fact]
    public async Task A_node_counts_for_ten_minutes_after_it_has_asked()
    {
        await LiveAsync(3);
        await AskAsync(_one, 0);
        _time.Advance(TimeSpan.FromMinutes(9));
        await AskAsync(_one, 1);
        Assert.Equal([Name(0), Name(1)], await InFlightAsync());

        _time.Advance(TimeSpan.FromMinutes(1));

        Assert.Equal([Name(1)], await InFlightAsync());
        Assert.Contains("node-0", _store.Text(Key), StringComparison.Ordinal);
        AssertTold(1, Identity(1), await AskAsync(_other, 2));
        Assert.DoesNotContain("\"node\":\"node-0\"", _store.Text(Key), StringComparison.Ordinal);

        _time.Advance(TimeSpan.FromMinutes(10));

        Assert.Null(_store.Text(Key));
        Assert.Empty(await InFlightAsync());
    }

    [Fact]
    public async Task A_node_that_gives_up_while_others_are_decided_is_left_out_and_breaks_nobody()
    {
        await LiveAsync(3);
        _store.Latency = TimeSpan.FromMilliseconds(5);
        using var gaveUp = new CancellationTokenSource();
        using var gaveUpFirst = new CancellationTokenSource();

        var first = AskAsync(_one, 0, cancellation: gaveUpFirst.Token);
        var second = AskAsync(_one, 1, cancellation: gaveUp.Token);
        var third = AskAsync(_one, 2);
        await gaveUp.CancelAsync();
        await gaveUpFirst.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        AssertTold(1, Identity(0), await _time.RunAsync(third, MostTime));
        Assert.Equal([Name(0), Name(2)], await _time.RunAsync(InFlightAsync(), MostTime));
    }

    [Fact]
    public async Task When_the_store_fails_all_who_wait_are_told_and_the_next_one_is_answered()
    {
        await LiveAsync(3);
        _store.Latency = TimeSpan.FromMilliseconds(5);
        var asked = Enumerable.Range(0, 3).Select(i => AskAsync(_one, i)).ToArray();
        _store.IsDown = true;

        await Assert.ThrowsAsync<StoreUnavailableException>(() => _time.RunAsync(Task.WhenAll(asked), MostTime));

        Assert.All(asked, task => Assert.IsType<StoreUnavailableException>(task.Exception?.InnerException));
        _store.IsDown = false;
        AssertTold(0, null, await _time.RunAsync(AskAsync(_one, 1), MostTime));
    }

    [Fact]
    public async Task A_store_that_does_not_answer_is_given_up_before_long()
    {
        _store.Latency = TimeSpan.FromHours(1);

        await Assert.ThrowsAsync<StoreUnavailableException>(() => _time.RunAsync(AskAsync(_one, 0)));
    }

    [Fact]
    public void What_nodes_do_elsewhere_is_known_for_a_minute()
    {
        var loads = new InFlightMemory(_time);
        var start = _time.GetUtcNow();
        Remember(Layer, new(Name(0), start, Followers: 1), new(Name(1), start, Name(0)));
        _time.Advance(TimeSpan.FromSeconds(30));
        Remember(Digest.OfSha256([2]), new(Name(1), start, Followers: 1), new(Name(0), _time.GetUtcNow(), Name(1), Followers: 1), new(Name(2), _time.GetUtcNow(), Name(0)));
        _time.Advance(TimeSpan.FromMilliseconds(100));

        var elsewhere = loads.Elsewhere(Digest.OfSha256([3]));
        Assert.Equal([new(2, 2), new(2, 1), new(1, 0), new(0, 0)], Enumerable.Range(0, 4).Select(i => elsewhere(Name(i))));
        Assert.Equal(new InFlightLoad(1, 1), loads.Elsewhere(Layer)(Name(0)));

        _time.Advance(TimeSpan.FromSeconds(30));

        elsewhere = loads.Elsewhere(Digest.OfSha256([3]));
        Assert.Equal([new(1, 1), new(0, 0), new(1, 0)], Enumerable.Range(0, 3).Select(i => elsewhere(Name(i))));

        void Remember(Digest digest, params InFlightNode[] nodes) =>
            loads.Remember(digest, new InFlightMemory.Remembered(new InFlightDocument(nodes), InFlightDocument.Empty, _time.GetTimestamp()));
    }

    private static void AssertTold(int depth, NodeIdentity? parent, FollowAnswer answer) => Assert.Equal((depth, parent), (answer.Depth, answer.Parent));

    private static NodeName Name(int number) => NodeName.Parse($"node-{number}");

    private static NodeIdentity Identity(int number) => new(Name(number), ResolverReplica.Location, BlobAddress.Parse($"http://node-{number}.example:5000"));

    private async Task LiveAsync(int nodes)
    {
        for (var i = 0; i < nodes; i++)
        {
            var lease = new Lease(Identity(i), 1, _time.GetUtcNow() + Options.LeaseDuration);
            await _one.Leases.UpdateAsync(ResolverReplica.Location, Name(i), _ => lease, CancellationToken.None);
        }
    }

    private static async Task<FollowAnswer> AskAsync(
        ResolverReplica replica, int node, bool isRepeated = false, Digest? digest = null, CancellationToken cancellation = default)
    {
        while (true)
        {
            try
            {
                return await replica.InFlight.FollowAsync(new FollowRequest(Name(node), ResolverReplica.Location, digest ?? Layer, []), cancellation);
            }
            catch (StoreUnavailableException) when (isRepeated)
            {
            }
        }
    }

    private async Task<IEnumerable<NodeName>> InFlightAsync() =>
        (await _one.InFlight.FindAsync(ResolverReplica.Location, Layer, CancellationToken.None)).Select(node => node.Node);

    /// <summary>All are in flight, or as many as are remembered; one leads, each follows one that is in flight, and nobody has many followers.</summary>
    private async Task AssertSoundAsync(int nodes)
    {
        _time.Advance(TimeSpan.FromSeconds(2));
        var found = await _time.RunAsync(_one.InFlight.FindAsync(ResolverReplica.Location, Layer, CancellationToken.None), MostTime);
        Assert.Equal(Math.Min(nodes, InFlightDocument.MostNodes), found.DistinctBy(node => node.Node).Count());
        Assert.Equal(Math.Min(nodes, InFlightDocument.MostNodes), found.Count);
        Assert.Single(found, node => node.Parent is null);
        Assert.All(found.Where(node => node.Parent is not null), node => Assert.Contains(found, other => other.Node == node.Parent));
        Assert.All(found, node => Assert.InRange(node.Followers, 0, (nodes > InFlightDocument.MostDepth ? 2 : 1) * Options.MaxFollowers));
    }
}
