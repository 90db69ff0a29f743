using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Blob.Http;

namespace SpegelDapr.Unit.Blob;

public sealed class TransferSlotsTests
{
    [Fact]
    public async Task A_request_waits_for_a_place_for_a_moment()
    {
        var time = new FakeTimeProvider();
        using var slots = new TransferSlots(time);
        var taken = new List<IDisposable>();
        for (var i = 0; i < TransferSlots.Most; i++)
        {
            taken.Add((await slots.TryTakeAsync(CancellationToken.None))!);
        }

        var refused = slots.TryTakeAsync(CancellationToken.None);
        Assert.False(refused.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Null(await refused);

        var waiting = slots.TryTakeAsync(CancellationToken.None);
        taken[0].Dispose();
        Assert.NotNull(await waiting);
    }
}
