using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Blob.Peers;

namespace SpegelDapr.Unit.Blob.Peers;

public sealed class FastestRateTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly FastestRate _fastest;

    public FastestRateTests() => _fastest = new FastestRate(_time);

    [Fact]
    public void A_node_is_slow_while_nothing_has_come_as_fast_as_others_could_give_it()
    {
        _fastest.Saw(100);
        Assert.False(_fastest.IsSlow);

        _fastest.Expect(300);
        Assert.True(_fastest.IsSlow);

        _fastest.Saw(300);
        Assert.False(_fastest.IsSlow);
    }

    [Fact]
    public void That_is_forgotten_after_some_time()
    {
        _fastest.Saw(100);
        _fastest.Expect(300);

        _time.Advance(TimeSpan.FromMinutes(10));

        Assert.False(_fastest.IsSlow);
    }
}
