using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery;
using SpegelDapr.Discovery.Hearing;
using SpegelDapr.Discovery.Publishing;

namespace SpegelDapr.Unit.Discovery;

public sealed class HearingCheckTests : IAsyncLifetime, IDisposable
{
    private static readonly TimeSpan HeartbeatInterval = TimeSpan.FromSeconds(10);

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 5, 0, 0, 0, TimeSpan.Zero));
    private readonly ScriptedQuestion _question = new();
    private readonly CollectingLogger _log = new();
    private readonly ServiceProvider _metrics = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly CancellationTokenSource _stop = new();
    private readonly HearingCheck _check;
    private readonly Task _running;
    private int _snapshots;

    public HearingCheckTests()
    {
        _check = new HearingCheck(
            _question,
            new DiscoveryMetrics(_metrics.GetRequiredService<IMeterFactory>()),
            Options.Create(new DiscoveryOptions { HeartbeatInterval = HeartbeatInterval }),
            _time,
            _log);
        _running = _check.RunAsync(() => Interlocked.Increment(ref _snapshots), _stop.Token);
    }

    public Task InitializeAsync() => Task.CompletedTask;

    [Fact]
    public async Task Nothing_is_asked_before_a_heartbeat_and_once_after_each_while_all_is_well()
    {
        await PassAsync(HeartbeatInterval);
        Assert.Empty(_question.Asked);

        await HeartbeatsAsync(6);

        Assert.Equal(6, _question.Asked.Count);
        Assert.Equal(0, _snapshots);
    }

    [Fact]
    public async Task What_has_been_lost_is_announced_again_at_once_and_not_again_while_it_queues()
    {
        await HeartbeatsAsync(1);
        _question.Answer = Heard.Unknown;

        Beat();
        await UntilAsync(() => _snapshots == 1);

        await HeartbeatsAsync(10);
        Assert.Equal(1, _snapshots);
    }

    [Fact]
    public async Task What_has_never_been_heard_is_on_its_way()
    {
        _question.Answer = Heard.Unknown;
        await HeartbeatsAsync(10);
        _question.Answer = Heard.Behind;
        await HeartbeatsAsync(10);

        Assert.Equal(0, _snapshots);
        Assert.InRange(_question.Asked.Count, 20, 40);
    }

    [Fact]
    public async Task A_difference_is_repaired_at_once_and_less_often_when_that_does_not_help()
    {
        _question.Answer = Heard.Differs;
        Beat();
        await UntilAsync(() => _snapshots == 1);

        await HeartbeatsAsync(60);

        // Ten minutes: after 10, 20, 40, … seconds.
        Assert.InRange(_snapshots, 4, 8);
    }

    [Fact]
    public async Task What_is_on_its_way_is_asked_for_again_soon()
    {
        _question.Answer = Heard.Behind;
        Beat();
        await UntilAsync(() => _question.Asked.Count == 1);
        _question.Answer = Heard.Differs;

        await PassAsync(TimeSpan.FromSeconds(2.5));

        Assert.Equal(1, _snapshots);
    }

    [Fact]
    public async Task A_store_that_comes_back_empty_is_noticed_within_seconds_however_long_it_was_away()
    {
        await HeartbeatsAsync(1);
        (_question.Answer, _question.IsStoreAway) = (null, true);
        var asked = _question.Asked.Count;
        await HeartbeatsAsync(20);
        var returned = _time.GetUtcNow();

        // Two for each heartbeat, and some more at the start.
        Assert.InRange(_question.Asked.Count - asked, 20, 45);

        _question.Answer = Heard.Unknown;
        await UntilAsync(() => _snapshots == 1);

        // Of a busy machine time slips a bit between its steps.
        Assert.InRange(_time.GetUtcNow() - returned, TimeSpan.Zero, TimeSpan.FromSeconds(8));
    }

    [Fact]
    public async Task A_resolver_that_is_away_for_hours_costs_little_and_two_lines()
    {
        await HeartbeatsAsync(1);
        _question.Answer = null;
        await HeartbeatsAsync(60);
        Assert.InRange(_question.Asked.Count, 60, 150);
        Assert.Single(_log.Warnings);

        _question.Answer = Heard.Matches;
        await HeartbeatsAsync(1);

        Assert.Equal(2, _log.Lines.Count);
        Assert.Equal(0, _snapshots);
    }

    [Fact]
    public async Task A_resolver_that_hangs_is_given_up_and_asked_again()
    {
        _question.Hangs = true;
        Beat();
        await UntilAsync(() => _question.Asked.Count >= 3);
        _question.Hangs = false;

        await UntilAsync(() => _log.Lines.Count == 2);
    }

    public async Task DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    public void Dispose()
    {
        _stop.Dispose();
        _metrics.Dispose();
    }

    private void Beat() => _check.Ask(new HeartbeatEvent { Node = Some.Node, Epoch = 1, Sequence = 1, Summary = default });

    private async Task HeartbeatsAsync(int count)
    {
        for (var i = 0; i < count; i++)
        {
            var asked = _question.Asked.Count;
            Beat();
            for (var deadline = DateTime.UtcNow.AddSeconds(20); _question.Asked.Count == asked; await Task.Delay(1))
            {
                Assert.True(DateTime.UtcNow < deadline, "Nothing was asked.");
            }

            await PassAsync(HeartbeatInterval);
        }
    }

    private async Task UntilAsync(Func<bool> condition)
    {
        for (var deadline = DateTime.UtcNow.AddSeconds(20); !condition(); await PassAsync(TimeSpan.FromMilliseconds(50)))
        {
            Assert.True(DateTime.UtcNow < deadline, "It has not happened in time.");
        }
    }

    /// <summary>Lets time pass, and after each step what it has woken run.</summary>
    private async Task PassAsync(TimeSpan span)
    {
        for (var left = span; left > TimeSpan.Zero; left -= TimeSpan.FromSeconds(1))
        {
            await Task.Delay(2);
            _time.Advance(left < TimeSpan.FromSeconds(1) ? left : TimeSpan.FromSeconds(1));
            await Task.Delay(2);
        }
    }
}
