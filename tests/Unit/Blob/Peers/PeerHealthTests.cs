using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Blob;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit.Blob.Peers;

public sealed class PeerHealthTests : IDisposable
{
    private static readonly NodeName Node = NodeName.Parse("node-b");
    private static readonly Digest Layer = Digest.OfSha256([1]);
    private static readonly Digest Other = Digest.OfSha256([2]);

    private readonly FakeTimeProvider _time = new();
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly PeerHealth _health;

    public PeerHealthTests() =>
        _health = new PeerHealth(Options.Create(new BlobOptions()), new BlobMetrics(_services.GetRequiredService<IMeterFactory>(), Options.Create(new NodeOptions()), _time), _time);

    [Fact]
    public void Who_is_slow_is_done_without_for_a_moment_and_only_for_that_content()
    {
        _health.Slow(Node, Layer);

        Assert.NotNull(_health.ProblemOf(Node, Layer));
        Assert.Null(_health.ProblemOf(Node, Other));
        _time.Advance(TimeSpan.FromSeconds(5));
        Assert.Null(_health.ProblemOf(Node, Layer));
        Assert.Equal((true, true, false), (_health.HasBeenSlow(Node), _health.HasTurnedUpstream(Layer), _health.HasTurnedUpstream(Other)));
    }

    [Fact]
    public void Who_is_guilty_is_not_asked_for_an_hour_and_who_may_be_innocent_for_minutes()
    {
        _health.Suspect(Node, Layer);
        Assert.NotNull(_health.ProblemOf(Node, Layer));
        Assert.Null(_health.ProblemOf(Node, Other));
        _time.Advance(TimeSpan.FromMinutes(2));
        Assert.Null(_health.ProblemOf(Node, Layer));

        _health.Shun(Node, Layer);
        _time.Advance(TimeSpan.FromMinutes(59));
        Assert.NotNull(_health.ProblemOf(Node, Layer));
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.Null(_health.ProblemOf(Node, Layer));
    }

    [Fact]
    public void Who_is_guilty_is_not_less_so_when_suspected_again()
    {
        _health.Shun(Node, Layer);
        _health.Suspect(Node, Layer);

        _time.Advance(TimeSpan.FromMinutes(30));

        Assert.NotNull(_health.ProblemOf(Node, Layer));
    }

    [Fact]
    public void When_several_nodes_in_a_row_are_silent_none_is_asked_for_a_while_and_then_one_more_is_enough()
    {
        Silence(1, 2, 2);
        Assert.Null(_health.ProblemOf(Node, Layer));
        Silence(3);
        Assert.NotNull(_health.ProblemOf(Node, Layer));
        _time.Advance(TimeSpan.FromSeconds(30));
        Assert.Null(_health.ProblemOf(Node, Layer));

        Silence(4);
        _time.Advance(TimeSpan.FromSeconds(59));
        Assert.NotNull(_health.ProblemOf(Node, Layer));
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Null(_health.ProblemOf(Node, Layer));
    }

    [Fact]
    public void An_answer_ends_the_doubt()
    {
        Silence(1, 2);
        Assert.True(_health.IsInDoubt);
        _health.Failed(Node, new PeerException("status 404 instead of 200"));
        Assert.False(_health.IsInDoubt);
        Silence(3, 4);
        Assert.Null(_health.ProblemOfAll);
        Silence(5);
        Assert.NotNull(_health.ProblemOfAll);
        _health.Answered();
        Assert.Null(_health.ProblemOfAll);
    }

    [Fact]
    public void Nodes_that_were_silent_long_ago_are_not_in_a_row_with_those_of_now()
    {
        Silence(1, 2);
        _time.Advance(TimeSpan.FromHours(1));
        Assert.False(_health.IsInDoubt);
        Silence(3);
        Assert.Null(_health.ProblemOfAll);
    }

    private void Silence(params int[] nodes)
    {
        foreach (var node in nodes)
        {
            _health.Silent(NodeName.Parse($"silent-{node}"));
        }
    }

    public void Dispose()
    {
        _health.Dispose();
        _services.Dispose();
    }
}
