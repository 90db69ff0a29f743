using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Blob.Peers;

namespace SpegelDapr.Unit.Blob.Peers;

public class TransferEstimateTests
{
    private const long MiB = 1024 * 1024;

    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void Nothing_is_expected_of_a_route_that_has_not_been_used() =>
        Assert.Null(new TransferEstimate(_time).Figures.Expect(MiB));

    [Fact]
    public void Small_content_tells_of_the_first_byte_and_nothing_of_throughput()
    {
        var estimate = new TransferEstimate(_time);
        estimate.ObserveWhole(1000, TimeSpan.FromSeconds(0.2));

        Assert.Equal(0.2, estimate.Figures.Expect(1000)!.Value, 3);
        Assert.Null(estimate.Figures.Expect(MiB));
    }

    [Fact]
    public void The_expectation_is_the_first_byte_and_the_size_over_the_throughput()
    {
        var estimate = new TransferEstimate(_time);
        estimate.ObserveFirstByte(TimeSpan.FromSeconds(0.5));
        estimate.ObserveBody(10 * MiB, TimeSpan.FromSeconds(1));

        Assert.Equal(2.5, estimate.Figures.Expect(20 * MiB)!.Value, 3);
    }

    [Fact]
    public void Of_a_whole_duration_the_first_byte_is_taken_off()
    {
        var estimate = new TransferEstimate(_time);
        estimate.ObserveWhole(1000, TimeSpan.FromSeconds(0.5));
        estimate.ObserveWhole(10 * MiB, TimeSpan.FromSeconds(1.5));

        Assert.Equal(10 * MiB, estimate.Figures.BytesPerSecond!.Value, 0);
    }

    [Fact]
    public void A_few_transfers_outweigh_many_earlier_ones()
    {
        var estimate = new TransferEstimate(_time);
        Repeat(50, () => estimate.ObserveBody(MiB, TimeSpan.FromSeconds(0.1)));
        Repeat(5, () => estimate.ObserveBody(MiB, TimeSpan.FromSeconds(0.15)));

        Assert.InRange(estimate.Figures.Expect(MiB)!.Value, 0.14, 0.15);
    }

    [Fact]
    public void A_surprise_replaces_what_was_known()
    {
        var estimate = new TransferEstimate(_time);
        Repeat(50, () => estimate.ObserveBody(MiB, TimeSpan.FromSeconds(0.1)));
        estimate.ObserveBody(MiB, TimeSpan.FromSeconds(1));

        Assert.Equal(1, estimate.Figures.Expect(MiB)!.Value, 3);
    }

    [Fact]
    public void Twice_as_long_as_expected_is_a_surprise_and_a_little_longer_is_not()
    {
        var estimate = new TransferEstimate(_time);

        Assert.False(estimate.ObserveBody(MiB, TimeSpan.FromSeconds(0.1)));
        Assert.False(estimate.ObserveBody(MiB, TimeSpan.FromSeconds(0.15)));
        Assert.True(estimate.ObserveBody(MiB, TimeSpan.FromSeconds(0.5)));
        Assert.True(estimate.ObserveBody(MiB, TimeSpan.FromSeconds(0.05)));
    }

    [Fact]
    public void A_failure_counts_when_it_took_longer_than_a_first_byte()
    {
        var estimate = new TransferEstimate(_time);
        estimate.ObserveFirstByte(TimeSpan.FromSeconds(0.1));
        estimate.ObserveFailure(TimeSpan.FromSeconds(0.01));
        Assert.Equal(0.1, estimate.Figures.FirstByteSeconds!.Value, 3);

        estimate.ObserveFailure(TimeSpan.FromSeconds(1.1));
        Assert.Equal(0.4, estimate.Figures.FirstByteSeconds!.Value, 3);
    }

    [Fact]
    public void A_route_that_is_passed_over_grows_stale_until_it_is_used()
    {
        var estimate = new TransferEstimate(_time);
        estimate.PassOver();
        estimate.PassOver(4);
        _time.Advance(TimeSpan.FromMinutes(7));
        Assert.Equal((5, TimeSpan.FromMinutes(7)), estimate.Staleness);

        estimate.ObserveBody(MiB, TimeSpan.FromSeconds(1));
        Assert.Equal((0, TimeSpan.Zero), estimate.Staleness);
    }

    private static void Repeat(int times, Action action)
    {
        for (var i = 0; i < times; i++)
        {
            action();
        }
    }
}
