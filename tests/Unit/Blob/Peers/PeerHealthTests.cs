using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Blob;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

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
        _health = new PeerHealth(Options.Create(new BlobOptions()), new BlobMetrics(_services.GetRequiredService<IMeterFactory>()), _time);

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

    public void Dispose()
    {
        _health.Dispose();
        _services.Dispose();
    }
}
