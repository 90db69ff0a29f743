using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery;
using SpegelDapr.Discovery.Content;
using SpegelDapr.Discovery.Hearing;
using SpegelDapr.Discovery.Publishing;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit.Discovery;

public sealed class AnnouncerTests : IAsyncLifetime, IAsyncDisposable
{
    private static readonly TimeSpan HeartbeatInterval = TimeSpan.FromSeconds(10);

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 5, 0, 0, 0, TimeSpan.Zero));
    private readonly ReportedSource _source = new();
    private readonly FailingSink _sink = new();
    private readonly ScriptedQuestion _question = new();
    private readonly ServiceProvider _metrics = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly Announcer _announcer;

    public AnnouncerTests()
    {
        var metrics = new DiscoveryMetrics(_metrics.GetRequiredService<IMeterFactory>());
        var options = Options.Create(new DiscoveryOptions { HeartbeatInterval = HeartbeatInterval });
        _announcer = new Announcer(
            _source,
            new HeldContent(),
            new EventPublisher(_sink, metrics, _time, NullLogger<EventPublisher>.Instance),
            new HearingCheck(_question, metrics, options, _time, NullLogger<HearingCheck>.Instance),
            metrics,
            Options.Create(new NodeOptions
            {
                Name = Some.Node.Name.ToString(),
                Region = Some.Node.Location.Region,
                Zone = Some.Node.Location.Zone,
                Address = Some.Node.Address.ToString(),
            }),
            options,
            _time,
            NullLogger<Announcer>.Instance);
    }

    [Fact]
    public async Task Nothing_is_announced_before_the_source_has_listed_everything()
    {
        await _announcer.StartAsync(default);
        await PassAsync(HeartbeatInterval * 2);
        Assert.Empty(_sink.Attempts);

        _source.Report(new ContentListed([new HeldKey(Some.Digest(1))]));

        var snapshot = Assert.IsType<SnapshotEvent>((await TakenAsync(1)).Single());
        Assert.Equal((0, 1, 1L, _announcer.Epoch), (snapshot.Chunk, snapshot.Chunks, snapshot.Sequence, snapshot.Epoch));
        Assert.Equal(Some.Node, snapshot.Node);
        Assert.Equal(new HeldKey(Some.Digest(1)), Assert.Single(snapshot.Keys));
    }

    [Fact]
    public async Task A_node_without_content_announces_one_empty_chunk()
    {
        await StartAsync();

        var snapshot = Assert.IsType<SnapshotEvent>(_sink.Taken.Single());
        Assert.Equal((0, 1), (snapshot.Chunk, snapshot.Chunks));
        Assert.Empty(snapshot.Keys);
    }

    [Fact]
    public async Task All_chunks_of_a_snapshot_have_one_sequence()
    {
        await StartAsync(1200);

        var chunks = (await TakenAsync(3)).Cast<SnapshotEvent>().ToList();
        Assert.Equal([0, 1, 2], chunks.Select(chunk => chunk.Chunk));
        Assert.All(chunks, chunk => Assert.Equal((3, 1L), (chunk.Chunks, chunk.Sequence)));
        Assert.Equal(1200, chunks.SelectMany(chunk => chunk.Keys).Distinct().Count());
    }

    [Fact]
    public async Task Changes_that_follow_closely_are_one_delta()
    {
        await StartAsync(2);

        _source.Report(new ContentAdded(Some.Digest(10)));
        _source.Report(new ContentAdded(Some.Digest(11)));
        _source.Report(new ContentRemoved(Some.Digest(0)));

        var delta = Assert.IsType<DeltaEvent>((await TakenAsync(2))[1]);
        Assert.Equal(2, delta.Sequence);
        Assert.Equal([Some.Digest(10), Some.Digest(11)], delta.Added.Select(held => held.Key.Digest!.Value).ToHashSet());
        Assert.Equal(new HeldKey(Some.Digest(0)), Assert.Single(delta.Removed));
    }

    [Fact]
    public async Task Changes_that_never_pause_are_sent_all_the_same()
    {
        await StartAsync();

        for (var i = 0; _sink.Taken.OfType<DeltaEvent>().Count() < 2 && i < 10_000; i++)
        {
            _source.Report(new ContentAdded(Some.Digest(i)));
            await PassAsync(TimeSpan.FromMilliseconds(5));
        }

        Assert.True(_sink.Taken.OfType<DeltaEvent>().Count() >= 2);
    }

    [Fact]
    public async Task A_heartbeat_sums_up_what_has_been_announced()
    {
        await StartAsync(3);
        _source.Report(new ContentAdded(Some.Digest(10)));
        await TakenAsync(2);

        await PassAsync(HeartbeatInterval);

        await UntilAsync(() => _sink.Taken.OfType<HeartbeatEvent>().Any());
        var heartbeat = _sink.Taken.OfType<HeartbeatEvent>().Last();
        Assert.Equal(2, heartbeat.Sequence);
        Assert.Equal(ContentSummary.Of([.. Keys(3), new HeldKey(Some.Digest(10))]), heartbeat.Summary);
    }

    [Fact]
    public async Task An_event_that_is_not_taken_is_sent_again_unchanged_and_later_changes_follow_it()
    {
        await StartAsync();
        _sink.IsDown = true;
        _source.Report(new ContentAdded(Some.Digest(1)));
        await UntilAsync(() => _sink.Attempts.Count >= 4);
        _source.Report(new ContentAdded(Some.Digest(2)));
        _source.Report(new ContentRemoved(Some.Digest(1)));
        await PassAsync(TimeSpan.FromSeconds(5));
        _sink.IsDown = false;

        var taken = await TakenAsync(3);

        var (first, second) = (Assert.IsType<DeltaEvent>(taken[1]), Assert.IsType<DeltaEvent>(taken[2]));
        Assert.Equal((2L, 3L), (first.Sequence, second.Sequence));
        Assert.Equal(Some.Digest(1), Assert.Single(first.Added).Key.Digest);
        Assert.Equal(Some.Digest(2), Assert.Single(second.Added).Key.Digest);
        Assert.Equal(Some.Digest(1), Assert.Single(second.Removed).Key.Digest);
        Assert.Single(_sink.Attempts.Where(attempt => attempt.Type == DeltaEvent.EventType && attempt.Sequence == 2).Select(attempt => attempt.Json).Distinct());
    }

    [Fact]
    public async Task A_sidecar_that_never_answers_is_given_up_on_and_asked_again()
    {
        _sink.Hangs = true;
        await _announcer.StartAsync(default);
        _source.Report(new ContentListed([]));
        await UntilAsync(() => _sink.Attempts.Count >= 2);

        _sink.Hangs = false;

        Assert.IsType<SnapshotEvent>((await TakenAsync(1)).Single());
    }

    [Fact]
    public async Task After_each_heartbeat_the_resolvers_are_asked_what_they_have_heard_of_it()
    {
        await StartAsync(3);

        await PassAsync(HeartbeatInterval);
        await UntilAsync(() => !_question.Asked.IsEmpty);

        var heartbeat = Assert.IsType<HeartbeatEvent>(_sink.Taken[^1]);
        Assert.Equal(
            new HearingRequest(Some.Node.Name, Some.Node.Location, _announcer.Epoch, heartbeat.Sequence, heartbeat.Summary), _question.Asked.Single());
    }

    [Fact]
    public async Task A_first_snapshot_that_nobody_has_heard_is_repeated_before_the_first_heartbeat_interval_ends()
    {
        _question.Answer = Heard.Differs;
        await StartAsync(1);

        var start = _time.GetUtcNow();

        await TakenAsync(2);

        Assert.Equal(2, _sink.Taken.OfType<SnapshotEvent>().Count());
        Assert.InRange(_time.GetUtcNow() - start, TimeSpan.Zero, HeartbeatInterval / 2);
    }

    [Fact]
    public async Task All_is_announced_again_when_what_was_heard_is_heard_no_more()
    {
        await StartAsync(1);
        await PassAsync(HeartbeatInterval);
        await UntilAsync(() => _question.Asked.Count == 1);
        _question.Answer = Heard.Unknown;

        await PassAsync(HeartbeatInterval);
        await UntilAsync(() => _sink.Taken.OfType<SnapshotEvent>().Count() == 2);

        Assert.Equal(2, _sink.Taken.OfType<SnapshotEvent>().Last().Sequence);
        await PassAsync(HeartbeatInterval * 5);
        Assert.Equal(2, _sink.Taken.OfType<SnapshotEvent>().Count());
    }

    [Fact]
    public async Task All_is_announced_again_within_a_day_so_that_a_store_may_forget()
    {
        await StartAsync(1);

        await PassAsync(SnapshotEvent.MostAge * 0.7, TimeSpan.FromMinutes(1));
        Assert.Single(_sink.Taken.OfType<SnapshotEvent>());
        await PassAsync(SnapshotEvent.MostAge * 0.31, TimeSpan.FromMinutes(1));

        await UntilAsync(() => _sink.Taken.OfType<SnapshotEvent>().Count() == 2);
    }

    [Fact]
    public async Task Stopping_announces_that_the_node_leaves()
    {
        await StartAsync(1);

        await _announcer.StopAsync(default);

        Assert.Equal((1L, _announcer.Epoch), _sink.Taken.OfType<LeavingEvent>().Select(leaving => (leaving.Sequence, leaving.Epoch)).Single());
    }

    [Fact]
    public async Task Stopping_without_a_sidecar_does_not_take_for_ever()
    {
        await StartAsync(1);
        _sink.IsDown = true;

        var stopping = _announcer.StopAsync(default);
        await UntilAsync(() => stopping.IsCompleted);

        Assert.DoesNotContain(_sink.Taken, taken => taken is LeavingEvent);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task What_was_taken_adds_up_to_what_is_held_however_often_sending_fails(int seed)
    {
        var random = new Random(seed);
        await StartAsync(5);
        _sink.FailsNow = () => random.Next(3) == 0;
        var held = Keys(5).Select(key => key.Key.Digest!.Value).ToHashSet();
        for (var i = 0; i < 200; i++)
        {
            var digest = Some.Digest(random.Next(20));
            ContentChange change = held.Contains(digest) ? new ContentRemoved(digest) : new ContentAdded(digest);
            _ = held.Remove(digest) || held.Add(digest);
            _source.Report(change);
            await PassAsync(TimeSpan.FromMilliseconds(random.Next(60)));
        }

        _sink.FailsNow = () => false;
        await UntilAsync(() => Replay(_sink.Taken).SetEquals(held));

        Assert.All(_sink.Attempts.Where(attempt => attempt.Type != HeartbeatEvent.EventType).GroupBy(attempt => attempt.Sequence), attempts => Assert.Single(attempts.Select(attempt => attempt.Json).Distinct()));
    }

    public Task InitializeAsync() => Task.CompletedTask;

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    public async ValueTask DisposeAsync()
    {
        var stopping = _announcer.StopAsync(default);
        await UntilAsync(() => stopping.IsCompleted);
        _announcer.Dispose();
        await _metrics.DisposeAsync();
    }

    private static HashSet<Digest> Replay(IEnumerable<LayerEvent> events)
    {
        HashSet<Digest> held = [];
        foreach (var said in events)
        {
            switch (said)
            {
                case SnapshotEvent snapshot:
                    held = [.. snapshot.Keys.Select(key => key.Key.Digest!.Value)];
                    break;
                case DeltaEvent delta:
                    held.ExceptWith(delta.Removed.Select(key => key.Key.Digest!.Value));
                    held.UnionWith(delta.Added.Select(key => key.Key.Digest!.Value));
                    break;
            }
        }

        return held;
    }

    private static IEnumerable<HeldKey> Keys(int count) => Enumerable.Range(0, count).Select(number => new HeldKey(Some.Digest(number)));

    private async Task StartAsync(int keys = 0)
    {
        await _announcer.StartAsync(default);
        _source.Report(new ContentListed([.. Keys(keys)]));
        await TakenAsync(1);
    }

    /// <summary>Lets time pass until that number of events about content has been taken.</summary>
    private async Task<List<LayerEvent>> TakenAsync(int count)
    {
        await UntilAsync(() => Content().Count >= count);
        return Content();

        List<LayerEvent> Content() => [.. _sink.Taken.Where(taken => taken is not HeartbeatEvent)];
    }

    private async Task UntilAsync(Func<bool> condition)
    {
        for (var deadline = DateTime.UtcNow.AddSeconds(20); !condition(); await PassAsync(TimeSpan.FromMilliseconds(10)))
        {
            Assert.True(DateTime.UtcNow < deadline, "It has not happened in time.");
        }
    }

    private async Task PassAsync(TimeSpan span, TimeSpan? step = null)
    {
        var most = step ?? TimeSpan.FromMilliseconds(250);
        for (var left = span; left > TimeSpan.Zero; left -= most)
        {
            _time.Advance(left < most ? left : most);
            await Task.Delay(1);
        }
    }

    private sealed class ReportedSource : IContentSource
    {
        private readonly TaskCompletionSource<Action<ContentChange>> _report = new();

        public bool IsReadable => true;

        public Task WatchAsync(Action<ContentChange> report, CancellationToken cancellationToken)
        {
            _report.SetResult(report);
            return Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
        }

        public void Report(ContentChange change) => _report.Task.Result(change);
    }

    /// <summary>A sink that can be down, hang or fail at random.</summary>
    private sealed class FailingSink : IEventSink
    {
        private readonly ConcurrentQueue<LayerEvent> _taken = new();

        public volatile bool IsDown;
        public volatile bool Hangs;

        public Func<bool> FailsNow { get; set; } = () => false;

        public ConcurrentQueue<(string Type, long Sequence, string Json)> Attempts { get; } = new();

        public List<LayerEvent> Taken => [.. _taken];

        public async Task SendAsync(LayerEvent layerEvent, ReadOnlyMemory<byte> json, CancellationToken cancellationToken)
        {
            Attempts.Enqueue((layerEvent.Type, layerEvent.Sequence, Convert.ToBase64String(json.Span)));
            if (Hangs)
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
            }

            if (IsDown || FailsNow())
            {
                throw new EventNotTakenException("down");
            }

            _taken.Enqueue(layerEvent);
        }

        public Task<bool> TryRestartAsync(CancellationToken cancellationToken) => Task.FromResult(false);
    }
}
