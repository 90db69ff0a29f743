using Microsoft.Extensions.Time.Testing;

namespace SpegelDapr.Unit.Resolver;

internal static class FakeTime
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    /// <summary>Lets fake time pass, little by little, while the task waits for it.</summary>
    /// <param name="time">The time.</param>
    /// <param name="task">What waits.</param>
    /// <param name="most">The most time that passes, so that a busy machine spends no budget.</param>
    public static async Task<T> RunAsync<T>(this FakeTimeProvider time, Task<T> task, TimeSpan? most = null)
    {
        var started = TimeProvider.System.GetTimestamp();
        var end = most is null ? DateTimeOffset.MaxValue : time.GetUtcNow() + most;
        while (await Task.WhenAny(task, Task.Delay(TimeSpan.FromMilliseconds(1))) != task)
        {
            Assert.True(TimeProvider.System.GetElapsedTime(started) < Deadline, "The task does not end.");
            if (time.GetUtcNow() < end)
            {
                time.Advance(TimeSpan.FromMilliseconds(5));
            }
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
