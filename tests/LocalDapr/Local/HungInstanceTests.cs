using System.Net;
using SpegelDapr.LocalDapr.Tests.Support;

namespace SpegelDapr.LocalDapr.Tests.Local;

/// <summary>What a caller meets while one of two instances of an app hangs.</summary>
public sealed class HungInstanceTests
{
    [Fact]
    public async Task An_instance_that_hangs_keeps_its_turn_and_hears_when_the_caller_hangs_up()
    {
        await using var runtime = await Runtime.StartAsync(Backend.InMemory);
        var caller = await runtime.StartAppAsync("caller");
        var hung = await runtime.StartAppAsync("target");
        await runtime.StartAppAsync("target");
        hung.Hangs = true;

        for (var i = 0; i < 4; i++)
        {
            // Of two calls in a row one goes to each.
            using var end = new CancellationTokenSource();
            var calls = Enumerable.Range(0, 2).Select(_ => caller.Http.GetAsync("/v1.0/invoke/target/method/x", end.Token)).ToList();
            var answered = await Task.WhenAny(calls);
            Assert.Equal(HttpStatusCode.OK, (await answered).StatusCode);
            await hung.NextHungAsync();
            calls.Remove(answered);
            Assert.False(calls[0].IsCompleted);

            await end.CancelAsync();
            await hung.NextHungUpAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => calls[0]);
        }
    }
}
