using System.Collections.Concurrent;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver;
using SpegelDapr.Resolver.Holders;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Resolving;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Unit.Resolver;

public sealed class EventTests : IDisposable
{
    private static readonly ContentKey Layer = ContentKey.FromDigest(Digest.OfSha256([1]));
    private static readonly ContentKey Tag = ContentKey.Parse("docker.io/library/app:1");

    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(50));
    private readonly MemoryHolderStore _store;
    private readonly ConcurrentQueue<SnapshotWish> _wishes = new();
    private readonly List<LayerEvent> _sent = [];
    private readonly ResolverReplica _replica;
    private readonly SimulatedNode _node;

    public EventTests()
    {
        _store = new MemoryHolderStore(_time);
        _replica = new ResolverReplica(_store, _time);
        _node = new SimulatedNode("node-a", _time, _sent.Add);
    }

    public void Dispose() => _replica.Dispose();

    [Fact]
    public async Task A_layer_is_held_as_soon_as_its_delta_is_applied_and_no_longer_once_it_is_removed()
    {
        _node.Start();
        _node.Hold(new HeldKey(Layer));
        await DeliverAllAsync();
        Assert.Equal(["node-a"], await HoldersAsync(Layer));

        _node.Lose(Layer);
        await DeliverAllAsync();
        Assert.Empty(await HoldersAsync(Layer));
        Assert.Equal(Heard.Matches, await AskAsync());
    }

    [Fact]
    public async Task An_addition_that_comes_after_the_later_removal_changes_nothing()
    {
        _node.Start();
        await DeliverAllAsync();
        _node.Hold(new HeldKey(Layer));
        _node.Lose(Layer);
        _sent.Reverse();

        await DeliverAllAsync();

        Assert.Empty(await HoldersAsync(Layer));
    }

    [Fact]
    public async Task A_tag_that_has_moved_is_held_with_its_new_digest()
    {
        _node.Start();
        _node.Hold(new HeldKey(Tag, Digest.OfSha256([1]), _time.GetUtcNow()));
        _node.Hold(new HeldKey(Tag, Digest.OfSha256([2]), _time.GetUtcNow().AddSeconds(1)));
        await DeliverAllAsync();

        var holder = Assert.Single((await _time.RunAsync(_replica.FindAsync([Tag])))[Tag]);

        Assert.Equal(Digest.OfSha256([2]), holder.Digest);
    }

    [Fact]
    public async Task A_tag_cannot_have_been_updated_in_the_future()
    {
        var other = new SimulatedNode("node-b", _time, _sent.Add);
        other.Start();
        other.Hold(new HeldKey(Tag, Digest.OfSha256([1]), DateTimeOffset.MaxValue));
        await DeliverAllAsync();
        _time.Advance(TimeSpan.FromSeconds(10));
        _node.Start();
        _node.Hold(new HeldKey(Tag, Digest.OfSha256([2]), _time.GetUtcNow()));
        await DeliverAllAsync();

        var holders = (await _time.RunAsync(_replica.FindAsync([Tag])))[Tag];
        var answer = HolderSelection.Choose(Tag, holders, NodeName.Parse("asker"), Location.Default, new Random(1));

        Assert.Equal(Digest.OfSha256([2]), answer.Digest);
    }

    [Fact]
    public async Task What_a_node_said_while_its_clock_was_ahead_gives_way_once_that_lease_is_forgotten()
    {
        var ahead = Snapshot(_time.GetUtcNow().AddYears(1).ToUnixTimeMilliseconds());
        Assert.Equal("SUCCESS", await _time.RunAsync(_replica.DeliverAsync(ahead)));
        var right = Snapshot(_time.GetUtcNow().ToUnixTimeMilliseconds());
        _time.Advance(10 * new ResolverOptions().LeaseDuration);
        Assert.Empty(await HoldersAsync(Layer));

        Assert.Equal("SUCCESS", await _time.RunAsync(_replica.DeliverAsync(right)));

        Assert.Equal(["node-a"], await HoldersAsync(Layer));
    }

    [Fact]
    public async Task What_is_written_late_from_an_earlier_epoch_replaces_nothing_where_its_lease_is_still_remembered()
    {
        using var other = new ResolverReplica(_store, _time);
        await _time.RunAsync(_replica.DeliverAsync(Snapshot(epoch: 1)));
        await _time.RunAsync(_replica.FindAsync([Layer]));
        await _time.RunAsync(other.DeliverAsync(Snapshot(epoch: 2)));

        await _replica.WriteAsync(Layer, new HolderEntry(_node.Identity.Name, Epoch: 1, Sequence: 2) { RemovedAt = _time.GetUtcNow() });

        Assert.Equal(["node-a"], await HoldersAsync(Layer));
    }

    [Fact]
    public async Task A_silent_node_holds_nothing_once_its_lease_has_ended_and_all_again_after_a_heartbeat()
    {
        _node.Hold(new HeldKey(Layer));
        _node.Start();
        await DeliverAllAsync();

        _time.Advance(TimeSpan.FromSeconds(31));
        Assert.Empty(await HoldersAsync(Layer));

        _node.Heartbeat();
        await DeliverAllAsync();
        Assert.Equal(["node-a"], await HoldersAsync(Layer));
        Assert.Equal(Heard.Matches, await AskAsync());
    }

    [Fact]
    public async Task A_node_that_leaves_holds_nothing_at_once_whatever_comes_late()
    {
        _node.Hold(new HeldKey(Layer));
        _node.Start();
        _node.Heartbeat();
        var heartbeat = _sent[^1];
        _node.Leave();
        await DeliverAllAsync();

        await _time.RunAsync(_replica.DeliverAsync(heartbeat));

        Assert.Empty(await HoldersAsync(Layer));
    }

    [Fact]
    public async Task What_an_earlier_epoch_said_is_forgotten_and_what_comes_late_from_it_ignored()
    {
        _node.Start();
        _node.Hold(new HeldKey(Layer));
        var old = _sent[^1];
        await DeliverAllAsync();
        _node.Lose(Layer);
        _sent.Clear();
        _node.Crash();
        _node.Start();
        await DeliverAllAsync();
        Assert.Empty(await HoldersAsync(Layer));

        Assert.Equal("SUCCESS", await _time.RunAsync(_replica.DeliverAsync(old)));
        Assert.Empty(await HoldersAsync(Layer));
    }

    [Fact]
    public async Task An_emptied_store_is_noticed_by_the_next_question_and_by_the_heartbeat_before_it()
    {
        _node.Hold(new HeldKey(Layer));
        _node.Start();
        Assert.Equal(Heard.Unknown, await AskAsync());
        await DeliverAllAsync();
        Assert.Equal(Heard.Matches, await AskAsync());
        _store.Lose("");
        _time.Advance(TimeSpan.FromSeconds(2));

        Assert.Equal(Heard.Unknown, await AskAsync());
        _node.Heartbeat();
        await DeliverAllAsync();
        Assert.Equal(Heard.Behind, await AskAsync());
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(Heard.Differs, await AskAsync());

        _node.Snapshot();
        await DeliverAllAsync();
        Assert.Equal(Heard.Matches, await AskAsync());
        Assert.Equal(["node-a"], await HoldersAsync(Layer));
    }

    [Fact]
    public async Task A_lost_event_is_missed_once_the_heartbeat_after_it_has_been_heard()
    {
        _node.Start();
        await DeliverAllAsync();
        _node.Hold(new HeldKey(Layer));
        _sent.Clear();
        Assert.Equal(Heard.Behind, await AskAsync());

        _node.Heartbeat();
        await DeliverAllAsync();
        Assert.Equal(Heard.Behind, await AskAsync());
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(Heard.Differs, await AskAsync());

        _node.Snapshot();
        await DeliverAllAsync();
        Assert.Equal(Heard.Matches, await AskAsync());
    }

    [Fact]
    public async Task An_answer_that_calls_for_a_snapshot_is_never_a_remembered_one()
    {
        using var other = new ResolverReplica(_store, _time);
        _node.Start();
        await DeliverAllAsync();
        _node.Hold(new HeldKey(Layer));
        var delta = _sent[^1];
        _node.Heartbeat();
        await _time.RunAsync(_replica.DeliverAsync(_sent[^1]));
        await _time.RunAsync(other.DeliverAsync(delta));
        _time.Advance(TimeSpan.FromMilliseconds(1));

        Assert.Equal(Heard.Matches, await AskAsync());
    }

    [Fact]
    public async Task Every_answer_costs_one_read_at_most()
    {
        _store.Latency = TimeSpan.FromMilliseconds(10);
        Assert.Equal((Heard.Unknown, 1), await AskAndCountAsync());
        _node.Start();
        await DeliverAllAsync();
        Assert.Equal((Heard.Matches, 0), await AskAndCountAsync());
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal((Heard.Matches, 1), await AskAndCountAsync());

        _node.Hold(new HeldKey(Layer));
        Assert.Equal((Heard.Behind, 1), await AskAndCountAsync());
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal((Heard.Behind, 1), await AskAndCountAsync());

        async Task<(Heard, int)> AskAndCountAsync()
        {
            var before = _store.Reads;
            return (await AskAsync(), _store.Reads - before);
        }
    }

    [Fact]
    public async Task What_overtakes_a_question_or_comes_from_a_later_start_calls_for_nothing()
    {
        _node.Start();
        await DeliverAllAsync();
        var question = _node.Question;
        _node.Hold(new HeldKey(Layer));
        await DeliverAllAsync();
        Assert.Equal(Heard.Matches, await _time.RunAsync(_replica.AskAsync(question)));

        _node.Crash();
        _node.Start();
        await DeliverAllAsync();
        Assert.Equal(Heard.Matches, await _time.RunAsync(_replica.AskAsync(question)));
    }

    [Fact]
    public async Task A_resolver_of_another_zone_that_misses_something_wishes_for_a_snapshot()
    {
        using var other = Elsewhere(new MemoryHolderStore(_time));
        _node.Start();
        await DeliverAsync([.. _sent], other);
        await DeliverAllAsync();
        _node.Hold(new HeldKey(Layer));
        await DeliverAllAsync();

        await BeatAsync(other);
        await _time.UntilAsync(() => !_wishes.IsEmpty);
        var wish = Assert.Single(_wishes);
        Assert.Equal((_node.Identity.Name, _node.Epoch), (wish.Node, wish.Epoch));
        Assert.Equal(Heard.Matches, await AskAsync());

        Assert.Equal("SUCCESS", await _time.RunAsync(_replica.DeliverAsync(wish)));
        Assert.Equal(Heard.Differs, await AskAsync());
        _node.Snapshot();
        await DeliverAsync([.. _sent], other);
        await DeliverAllAsync();
        Assert.Equal(Heard.Matches, await AskAsync());

        // It comes again, after the snapshot.
        Assert.Equal("SUCCESS", await _time.RunAsync(_replica.DeliverAsync(wish)));
        Assert.Equal(Heard.Matches, await AskAsync());
        await BeatsAsync(12, other);
        Assert.Single(_wishes);
    }

    [Fact]
    public async Task An_emptied_store_of_another_zone_is_whole_again_after_two_heartbeats()
    {
        var store = new MemoryHolderStore(_time);
        using var other = Elsewhere(store);
        _node.Hold(new HeldKey(Layer));
        _node.Start();
        await DeliverAsync([.. _sent], other);
        await DeliverAllAsync();
        store.Lose("");

        await BeatAsync(other);
        var told = _time.GetUtcNow();
        await _time.UntilAsync(() => !_wishes.IsEmpty);
        Assert.InRange(_time.GetUtcNow() - told, TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(9));
        Assert.Equal("SUCCESS", await _time.RunAsync(_replica.DeliverAsync(_wishes.First())));
        await BeatAsync(other);
        Assert.True(_node.Hear(await AskAsync()));
        await DeliverAllAsync(other);

        Assert.Single(await NowAsync(other, Layer));
    }

    [Fact]
    public async Task A_snapshot_that_comes_a_bit_later_than_a_heartbeat_is_not_wished_for()
    {
        using var other = Elsewhere(new MemoryHolderStore(_time));
        _node.Hold(new HeldKey(Layer));
        _node.Start();
        var snapshot = _sent.ToList();
        await BeatAsync(other);
        _time.Advance(TimeSpan.FromSeconds(2));
        await DeliverAsync(snapshot, other);

        await BeatsAsync(12, other);

        Assert.Empty(_wishes);
    }

    [Fact]
    public async Task Wishes_that_do_not_help_become_ever_rarer_until_the_node_matches()
    {
        using var other = Elsewhere(new MemoryHolderStore(_time));
        _node.Hold(new HeldKey(Layer));
        _node.Start();

        // An hour: after 1, 3, 7, 15 and 31 minutes.
        await BeatsAsync(360, other);
        Assert.InRange(_wishes.Count, 5, 7);

        _node.Snapshot();
        await DeliverAllAsync(other);
        await BeatsAsync(1, other);
        _wishes.Clear();
        _node.Lose(Layer);
        await BeatsAsync(30, other);
        Assert.InRange(_wishes.Count, 2, 4);
    }

    [Fact]
    public async Task A_wish_for_an_unknown_node_another_epoch_or_on_another_topic_changes_nothing()
    {
        _node.Start();
        await DeliverAllAsync();
        var now = _time.GetUtcNow().AddSeconds(1);

        Assert.Equal("SUCCESS", await _time.RunAsync(_replica.DeliverAsync(new SnapshotWish(NodeName.Parse("nobody"), _node.Epoch, now))));
        Assert.Equal("SUCCESS", await _time.RunAsync(_replica.DeliverAsync(new SnapshotWish(_node.Identity.Name, _node.Epoch - 1, now))));
        Assert.Equal("DROP", await _time.RunAsync(_replica.DeliverAsync(new SnapshotWish(_node.Identity.Name, _node.Epoch, now), "layers.eu.other.wishes")));

        Assert.Equal(Heard.Matches, await AskAsync());
        Assert.Equal(1, _store.Count);
    }

    [Fact]
    public async Task What_a_complete_snapshot_does_not_repeat_is_no_longer_held()
    {
        _node.Hold([.. Enumerable.Range(0, 5).Select(i => new HeldKey(Digest.OfSha256([(byte)i])))]);
        _node.Start();
        await DeliverAllAsync();
        _node.Lose(Layer);
        _sent.Clear();
        _node.Snapshot();
        var last = _sent[^1];
        _sent.RemoveAt(_sent.Count - 1);

        await DeliverAllAsync();
        Assert.Equal(["node-a"], await HoldersAsync(Layer));

        _sent.Add(last);
        await DeliverAllAsync();
        Assert.Empty(await HoldersAsync(Layer));
    }

    [Fact]
    public async Task What_a_snapshot_repeats_is_held_all_the_time_though_documents_are_remembered_from_before_it()
    {
        using var other = new ResolverReplica(_store, _time);
        _node.Hold([.. Enumerable.Range(0, 3).Select(i => new HeldKey(Digest.OfSha256([(byte)i])))]);
        _node.Start();
        await DeliverAllAsync();
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Single(await NowAsync(_replica, Layer));

        // The other replica writes the entries of the first chunk, and this one the lease once the snapshot is complete.
        _node.Snapshot();
        Assert.Equal("SUCCESS", await _time.RunAsync(other.DeliverAsync(_sent[0])));
        Assert.Equal("SUCCESS", await _time.RunAsync(_replica.DeliverAsync(_sent[1])));

        Assert.Single(await NowAsync(_replica, Layer));
    }

    [Fact]
    public async Task What_a_new_epoch_holds_is_found_though_the_lease_is_remembered_from_before_it()
    {
        using var other = new ResolverReplica(_store, _time);
        _node.Hold(new HeldKey(Layer));
        _node.Start();
        await DeliverAllAsync();
        _time.Advance(TimeSpan.FromMilliseconds(900));
        Assert.Single(await NowAsync(_replica, Layer));
        _node.Crash();
        _node.Start();

        await DeliverAllAsync(other);
        await _replica.WriteAsync(Layer, new HolderEntry(_node.Identity.Name, _node.Epoch, 1));

        Assert.Single(await NowAsync(_replica, Layer));
    }

    [Fact]
    public async Task A_replica_that_has_just_missed_a_nodes_lease_drops_none_of_its_entries()
    {
        using var other = new ResolverReplica(_store, _time);
        var second = new SimulatedNode("node-b", _time, _sent.Add);
        _node.Hold(new HeldKey(Layer));
        second.Hold(new HeldKey(Layer));
        _node.Start();
        second.Start();
        Assert.Empty(await other.Leases.RecallAsync([new LeaseHolder(_node.Identity.Location, _node.Identity.Name)], CancellationToken.None));

        // No time passes meanwhile.
        Assert.Equal("SUCCESS", await _replica.DeliverAsync(_sent[0]));
        Assert.Equal("SUCCESS", await other.DeliverAsync(_sent[1]));

        Assert.Equal(["node-a", "node-b"], await HoldersAsync(Layer));
    }

    [Fact]
    public async Task What_nobody_held_a_moment_ago_is_found_by_both_replicas_soon_after_its_event()
    {
        using var other = new ResolverReplica(_store, _time);
        _node.Start();
        _node.Hold(new HeldKey(Layer));
        _node.Lose(Layer);
        await DeliverAllAsync();
        var never = ContentKey.FromDigest(Digest.OfSha256([9]));
        foreach (var key in new[] { Layer, never })
        {
            Assert.Empty(await NowAsync(_replica, key));
            Assert.Empty(await NowAsync(other, key));
            _node.Hold(new HeldKey(key));
            await DeliverAllAsync();

            // Who applied it knows it at once.
            Assert.Single(await NowAsync(_replica, key));
            _time.Advance(DocumentCache.MissesLive + TimeSpan.FromTicks(1));
            Assert.Single(await NowAsync(other, key));
        }
    }

    [Fact]
    public async Task However_many_ask_for_what_nobody_holds_the_store_is_read_once_and_then_a_few_times_a_second()
    {
        _store.Latency = TimeSpan.FromMilliseconds(10);
        await _time.RunAsync(Task.WhenAll(Enumerable.Range(0, 1000).Select(_ => _replica.FindAsync([Layer]))), most: _store.Latency);
        Assert.Equal(1, _store.Reads);

        _store.Latency = TimeSpan.Zero;
        for (var i = 0; i < 1000; i++)
        {
            _time.Advance(TimeSpan.FromMilliseconds(1));
            await NowAsync(_replica, Layer);
        }

        Assert.InRange(_store.Reads, 2, 25);
    }

    [Fact]
    public async Task A_store_that_is_slow_is_not_read_twice_for_what_nobody_holds()
    {
        _store.Latency = DocumentCache.MissesLive + TimeSpan.FromMilliseconds(10);

        Assert.Empty((await _time.RunAsync(_replica.FindAsync([Layer])))[Layer]);

        Assert.Equal(1, _store.Reads);
    }

    [Fact]
    public async Task A_tag_confirmed_later_changes_no_sum_in_whatever_order_and_however_often_it_is_told()
    {
        _node.Start();
        await DeliverAllAsync();
        for (var i = 0; i < 4; i++)
        {
            _node.Hold(new HeldKey(Tag, Digest.OfSha256([1]), _time.GetUtcNow().AddSeconds(-10 + i)));
        }

        var last = _sent[^1];
        _sent.Reverse();
        _sent.AddRange(_sent.ToList());
        await DeliverAllAsync();
        _node.Heartbeat();
        await DeliverAllAsync();
        _time.Advance(TimeSpan.FromSeconds(3));

        var holder = Assert.Single(await NowAsync(_replica, Tag));
        Assert.Equal(Assert.Single(((DeltaEvent)last).Added).UpdatedAt, holder.UpdatedAt);
        Assert.Equal(Digest.OfSha256([1]), holder.Digest);
        Assert.Equal(Heard.Matches, await AskAsync());
    }

    [Fact]
    public async Task An_event_that_is_only_late_costs_no_snapshot()
    {
        _node.Start();
        await DeliverAllAsync();
        _node.Hold(new HeldKey(Layer));
        _node.Heartbeat();
        _sent.Reverse();
        await DeliverAllAsync();

        Assert.Equal(Heard.Matches, await AskAsync());
    }

    [Fact]
    public async Task A_wrong_checksum_calls_for_a_snapshot()
    {
        _node.Start();
        await DeliverAllAsync();

        Assert.Equal(Heard.Differs, await _time.RunAsync(_replica.AskAsync(_node.Question with { Summary = new ContentSummary(1, 1) })));
    }

    [Fact]
    public async Task What_a_forged_heartbeat_claims_is_forgotten_with_the_next_snapshot()
    {
        _node.Start();
        await DeliverAllAsync();
        await _time.RunAsync(_replica.DeliverAsync(
            new HeartbeatEvent { Node = _node.Identity, Epoch = _node.Epoch, Sequence = 1L << 50, Summary = default }));
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(Heard.Differs, await AskAsync());

        _node.Snapshot();
        await DeliverAllAsync();

        Assert.Equal(Heard.Matches, await AskAsync());
    }

    [Fact]
    public async Task While_the_store_is_down_events_come_back()
    {
        _store.IsDown = true;
        _node.Start();

        Assert.Equal("RETRY", await _time.RunAsync(_replica.DeliverAsync(_sent[0])));
    }

    [Fact]
    public async Task Many_nodes_that_start_together_are_all_recorded_with_few_writes()
    {
        const int Nodes = 50;
        var held = Enumerable.Range(0, 100).Select(i => new HeldKey(Digest.OfSha256(BitConverter.GetBytes(i)))).ToArray();
        _store.Latency = TimeSpan.FromMilliseconds(10);
        using var other = new ResolverReplica(_store, _time);
        var events = new List<LayerEvent>();
        foreach (var number in Enumerable.Range(0, Nodes))
        {
            events.Add(new SnapshotEvent
            {
                Node = new NodeIdentity(NodeName.Parse($"node-{number}"), Location.Default, BlobAddress.Parse($"http://10.0.0.{number}:5000")),
                Epoch = 1,
                Sequence = 1,
                Chunk = 0,
                Chunks = 1,
                Keys = held,
            });
        }

        var answers = await _time.RunAsync(Task.WhenAll(events.Select((one, i) => (i % 2 == 0 ? _replica : other).DeliverAsync(one))));

        Assert.All(answers, answer => Assert.Equal("SUCCESS", answer));
        _time.Advance(TimeSpan.FromSeconds(1));
        var holders = await _time.RunAsync(_replica.FindAsync([.. held.Select(one => one.Key)]));
        Assert.All(held, one => Assert.Equal(Nodes, holders[one.Key].Count()));
        Assert.InRange(_store.Writes, held.Length, Nodes * held.Length / 4);
    }

    [Fact]
    public async Task Of_more_holders_than_are_kept_the_dead_make_room()
    {
        using var replica = new ResolverReplica(_store, _time, new ResolverOptions { MaxHoldersPerKey = 2 });
        var nodes = Enumerable.Range(0, 4).Select(i => new SimulatedNode($"node-{i}", _time, _sent.Add)).ToList();
        nodes.ForEach(node => node.Hold(new HeldKey(Layer)));
        nodes[0].Start();
        nodes[1].Start();
        nodes[2].Start();
        await DeliverAllAsync(replica);
        Assert.Equal(["node-0", "node-1"], await HoldersAsync(Layer));

        nodes[0].Leave();
        nodes[3].Start();
        await DeliverAllAsync(replica);
        Assert.Equal(["node-1", "node-3"], await HoldersAsync(Layer));
    }

    [Fact]
    public async Task A_document_that_cannot_be_read_is_replaced()
    {
        await _time.RunAsync(_store.TrySaveAsync(
            [new DocumentWrite(StoreKeys.Holders(Location.Default, Layer), "[1]"u8.ToArray(), null, TimeSpan.FromDays(1))], CancellationToken.None));
        _node.Hold(new HeldKey(Layer));
        _node.Start();

        await DeliverAllAsync();

        Assert.Equal(["node-a"], await HoldersAsync(Layer));
    }

    [Theory]
    [InlineData("""{"topic":"layers.default.elsewhere"}""")]
    [InlineData("""{"type":"dev.spegel-dapr.layers.snapshot.v2"}""")]
    [InlineData("""{"type":null}""")]
    [InlineData("""{"data":null}""")]
    [InlineData("""{"data":"text"}""")]
    [InlineData("""{"data":{"node":{"location":"default/elsewhere"}}}""")]
    [InlineData("""{"data":{"node":{"name":"No Node"}}}""")]
    [InlineData("""{"data":{"node":{"name":null}}}""")]
    [InlineData("""{"data":{"node":{"address":"http://10.0.0.1:5000/path"}}}""")]
    [InlineData("""{"data":{"node":{"address":"file:///etc/passwd"}}}""")]
    [InlineData("""{"data":{"epoch":0}}""")]
    [InlineData("""{"data":{"epoch":9223372036854775807}}""")]
    [InlineData("""{"data":{"sequence":0}}""")]
    [InlineData("""{"data":{"sequence":-1}}""")]
    [InlineData("""{"data":{"sequence":9223372036854775807}}""")]
    [InlineData("""{"data":{"chunks":0}}""")]
    [InlineData("""{"data":{"chunks":1000000}}""")]
    [InlineData("""{"data":{"chunk":-1}}""")]
    [InlineData("""{"data":{"chunk":1}}""")]
    [InlineData("""{"data":{"keys":null}}""")]
    [InlineData("""{"data":{"keys":[null]}}""")]
    [InlineData("""{"data":{"keys":[{"key":"sha256:../../etc/passwd"}]}}""")]
    [InlineData("""{"data":{"keys":[{"key":"docker.io/library/app:1"}]}}""")]
    [InlineData("""{"data":{"keys":[{}]}}""")]
    public async Task A_bad_event_is_dropped(string change)
    {
        _node.Start();
        var envelope = JsonNode.Parse(ResolverReplica.Envelope(_sent[0]))!.AsObject();
        Merge(envelope, JsonNode.Parse(change)!.AsObject());

        Assert.Equal("DROP", await _time.RunAsync(_replica.DeliverAsync(Encoding.UTF8.GetBytes(envelope.ToJsonString()))));
        Assert.Equal(0, _store.Count);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{")]
    [InlineData("\u0000")]
    public async Task What_is_no_event_is_dropped(string body) =>
        Assert.Equal("DROP", await _time.RunAsync(_replica.DeliverAsync(Encoding.UTF8.GetBytes(body))));

    [Fact]
    public async Task An_event_with_too_many_keys_is_dropped()
    {
        var keys = Enumerable.Range(0, LayerEvent.MaxKeys + 1).Select(i => new HeldKey(Digest.OfSha256(BitConverter.GetBytes(i)))).ToList();
        var delta = new DeltaEvent { Node = _node.Identity, Epoch = 1, Sequence = 1, Added = keys[1..], Removed = keys[..1] };

        Assert.Equal("DROP", await _time.RunAsync(_replica.DeliverAsync(delta)));
        Assert.Equal("SUCCESS", await _time.RunAsync(_replica.DeliverAsync(delta with { Removed = [] })));
    }

    [Theory]
    [InlineData("http://0.0.0.0:5000", "DROP")]
    [InlineData("http://169.254.169.254", "DROP")]
    [InlineData("http://0xa9fea9fe", "DROP")]
    [InlineData("http://224.0.0.1:5000", "DROP")]
    [InlineData("http://239.255.255.250:5000", "DROP")]
    [InlineData("http://[::]:5000", "DROP")]
    [InlineData("http://[fe80::1]:5000", "DROP")]
    [InlineData("http://[ff02::1]:5000", "DROP")]
    [InlineData("http://[::ffff:169.254.169.254]:80", "DROP")]
    [InlineData("http://[fd00:ec2::254]", "DROP")]
    [InlineData("http://[fd20:ce::254]", "DROP")]
    [InlineData("http://127.0.0.1:5000", "SUCCESS")]
    [InlineData("http://169.253.0.1:5000", "SUCCESS")]
    [InlineData("http://223.255.255.255:5000", "SUCCESS")]
    [InlineData("http://[::1]:5000", "SUCCESS")]
    [InlineData("http://[fd00::1]:5000", "SUCCESS")]
    public async Task An_address_at_which_no_node_can_be_is_dropped(string address, string status)
    {
        var layerEvent = Snapshot(epoch: 1) with { Node = _node.Identity with { Address = BlobAddress.Parse(address) } };

        Assert.Equal(status, await _time.RunAsync(_replica.DeliverAsync(layerEvent)));
    }

    private SnapshotEvent Snapshot(long epoch) =>
        new() { Node = _node.Identity, Epoch = epoch, Sequence = 1, Chunk = 0, Chunks = 1, Keys = [new HeldKey(Layer)] };

    private static void Merge(JsonObject target, JsonObject change)
    {
        foreach (var (name, value) in change)
        {
            if (value is JsonObject inner && target[name] is JsonObject existing)
            {
                Merge(existing, inner);
            }
            else
            {
                target[name] = value?.DeepClone();
            }
        }
    }

    private Task<Heard> AskAsync() => _time.RunAsync(_replica.AskAsync(_node.Question));

    private async Task DeliverAllAsync(ResolverReplica? to = null)
    {
        await DeliverAsync(_sent, to ?? _replica);
        _sent.Clear();
    }

    private async Task DeliverAsync(IEnumerable<LayerEvent> events, ResolverReplica to)
    {
        foreach (var layerEvent in events)
        {
            Assert.Equal("SUCCESS", await _time.RunAsync(to.DeliverAsync(layerEvent)));
        }
    }

    /// <summary>A resolver of another zone that hears this one, with its wishes.</summary>
    private ResolverReplica Elsewhere(IHolderStore store)
    {
        var options = new ResolverOptions { Region = "eu", Zone = "elsewhere" };
        options.Reach.Add(Location.Default.ToString());
        return new ResolverReplica(store, _time, options, _wishes.Enqueue);
    }

    /// <summary>A heartbeat that a resolver hears, and nothing else of what has been sent.</summary>
    private async Task BeatAsync(ResolverReplica to)
    {
        _sent.Clear();
        _node.Heartbeat();
        await DeliverAllAsync(to);
    }

    private async Task BeatsAsync(int count, ResolverReplica to)
    {
        for (var i = 0; i < count; i++)
        {
            await BeatAsync(to);
            await PassAsync(TimeSpan.FromSeconds(10));
        }
    }

    /// <summary>Lets time pass, and what waits for it run.</summary>
    private async Task PassAsync(TimeSpan span)
    {
        for (var left = span; left > TimeSpan.Zero; left -= TimeSpan.FromSeconds(5))
        {
            _time.Advance(TimeSpan.FromSeconds(5));
            await Task.Delay(1);
        }
    }

    /// <summary>Who holds a key by what a replica remembers and reads without any time passing.</summary>
    private static async Task<IEnumerable<LiveHolder>> NowAsync(ResolverReplica replica, ContentKey key) => (await replica.FindAsync([key]))[key];

    private async Task<IEnumerable<string>> HoldersAsync(ContentKey key)
    {
        _time.Advance(TimeSpan.FromSeconds(1));
        return (await _time.RunAsync(_replica.FindAsync([key])))[key].Select(holder => holder.Node.Name.ToString()).Order(StringComparer.Ordinal);
    }
}
