using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Blob.Http;

namespace SpegelDapr.Unit.Blob;

public sealed class TransferSlotsTests
{
    [Fact]
    public async Task Peers_wait_for_a_place_for_a_moment_and_never_take_those_of_the_nodes_own_pulls()
    {
        var time = new FakeTimeProvider();
        using var slots = new TransferSlots(time);
        var taken = new List<IDisposable>();
        for (var i = 0; i < TransferSlots.ForPeers; i++)
        {
            taken.Add((await slots.TryTakeAsync(forPeer: true, CancellationToken.None))!);
        }

        var refused = slots.TryTakeAsync(forPeer: true, CancellationToken.None);
        Assert.False(refused.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Null(await refused);

        var waiting = slots.TryTakeAsync(forPeer: true, CancellationToken.None);
        taken[0].Dispose();
        Assert.NotNull(await waiting);
        Assert.NotNull(await slots.TryTakeAsync(forPeer: false, CancellationToken.None));
    }
}
