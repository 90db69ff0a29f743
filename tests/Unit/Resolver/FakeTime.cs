using Microsoft.Extensions.Time.Testing;

namespace SpegelDapr.Unit.Resolver;

internal static class FakeTime
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    /// <summary>Lets fake time pass, little by little, while the task waits for it.</summary>
    public static async Task<T> RunAsync<T>(this FakeTimeProvider time, Task<T> task)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (await Task.WhenAny(task, Task.Delay(TimeSpan.FromMilliseconds(1))) != task)
        {
            Assert.True(TimeProvider.System.GetElapsedTime(started) < Deadline, "The task does not end.");
            time.Advance(TimeSpan.FromMilliseconds(5));
        }

        return await task;
    }

    /// <summary>Lets fake time pass, little by little, until something holds.</summary>
    public static async Task UntilAsync(this FakeTimeProvider time, Func<bool> condition)
    {
        var started = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(started) < Deadline, "It has not happened in time.");
            time.Advance(TimeSpan.FromMilliseconds(5));
            await Task.Delay(TimeSpan.FromMilliseconds(1));
        }
    }
}
