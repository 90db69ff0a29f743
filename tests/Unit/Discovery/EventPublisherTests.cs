using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery;
using SpegelDapr.Discovery.Publishing;

namespace SpegelDapr.Unit.Discovery;

/// <summary>A sidecar that answers and takes no event any more.</summary>
public sealed class EventPublisherTests : IDisposable
{
    private static readonly TimeSpan Step = TimeSpan.FromSeconds(1);
    private static readonly LayerEvent Heartbeat = new HeartbeatEvent { Node = Some.Node, Epoch = 1, Sequence = 1, Summary = default };

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 5, 0, 0, 0, TimeSpan.Zero));
    private readonly ServiceProvider _meters = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly StuckSink _sink = new();
    private readonly EventPublisher _publisher;

    public EventPublisherTests() => _publisher = new EventPublisher(
        _sink, new DiscoveryMetrics(_meters.GetRequiredService<IMeterFactory>()), _time, NullLogger<EventPublisher>.Instance);

    public void Dispose() => _meters.Dispose();

    [Fact]
    public async Task It_is_restarted_after_minutes_and_then_takes_what_waited()
    {
        _sink.OnRestart = () => _sink.IsStuck = false;
        var publishing = _publisher.PublishAsync(Heartbeat, CancellationToken.None);

        await PassAsync(EventPublisher.LeastPatience - Step);
        Assert.Equal(0, _sink.Restarts);
        await PassAsync(EventPublisher.MostPatience);

        Assert.Equal(1, _sink.Restarts);
        await publishing.WaitAsync(TimeSpan.FromSeconds(20));
    }

    [Fact]
    public async Task Nodes_restart_it_at_different_times()
    {
        var restarted = new List<TimeSpan>();
        var started = _time.GetUtcNow();
        var nodes = Enumerable.Range(0, 40).Select(_ =>
        {
            var sink = new StuckSink { OnRestart = () => restarted.Add(_time.GetUtcNow() - started) };
            return new EventPublisher(sink, new DiscoveryMetrics(_meters.GetRequiredService<IMeterFactory>()), _time, NullLogger<EventPublisher>.Instance);
        }).ToList();
        using var stopping = new CancellationTokenSource();
        var publishing = nodes.Select(node => node.PublishAsync(Heartbeat, stopping.Token)).ToList();

        await PassAsync(EventPublisher.MostPatience + TimeSpan.FromSeconds(10));

        Assert.Equal(nodes.Count, restarted.Count);
        Assert.True(restarted.Max() - restarted.Min() > TimeSpan.FromMinutes(1), "They all do it at once.");
        await stopping.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Task.WhenAll(publishing));
    }

    [Fact]
    public async Task While_the_broker_is_away_for_an_hour_it_is_restarted_a_few_times()
    {
        using var stopping = new CancellationTokenSource();
        var publishing = _publisher.PublishAsync(Heartbeat, stopping.Token);

        await PassAsync(TimeSpan.FromHours(1));

        Assert.InRange(_sink.Restarts, 3, 4);
        await stopping.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => publishing);
    }

    [Fact]
    public async Task A_broker_that_comes_and_goes_does_not_have_it_restarted_each_time()
    {
        for (var i = 0; i < 3; i++)
        {
            _sink.IsStuck = true;
            var publishing = _publisher.PublishAsync(Heartbeat, CancellationToken.None);
            await PassAsync(EventPublisher.MostPatience);
            _sink.IsStuck = false;
            await PassAsync(TimeSpan.FromSeconds(5));
            await publishing.WaitAsync(TimeSpan.FromSeconds(20));
        }

        Assert.Equal(1, _sink.Restarts);
    }

    [Fact]
    public async Task One_that_is_away_or_starting_is_not_asked()
    {
        _sink.IsAway = true;
        using var stopping = new CancellationTokenSource();
        var publishing = _publisher.PublishAsync(Heartbeat, stopping.Token);

        await PassAsync(EventPublisher.MostPatience * 2);

        Assert.Equal(0, _sink.Restarts);
        await stopping.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => publishing);
    }

    private async Task PassAsync(TimeSpan span)
    {
        for (var left = span; left > TimeSpan.Zero; left -= Step)
        {
            _time.Advance(Step);
            await Task.Delay(1);
        }
    }

    private sealed class StuckSink : IEventSink
    {
        public volatile bool IsStuck = true;

        public bool IsAway { get; set; }

        public int Restarts { get; private set; }

        public Action OnRestart { get; set; } = () => { };

        public Task SendAsync(LayerEvent layerEvent, ReadOnlyMemory<byte> json, CancellationToken cancellationToken) =>
            IsStuck ? throw new EventNotTakenException("stuck") : Task.CompletedTask;

        public Task<bool> TryRestartAsync(CancellationToken cancellationToken)
        {
            if (!IsAway)
            {
                Restarts++;
                OnRestart();
            }

            return Task.FromResult(!IsAway);
        }
    }
}
