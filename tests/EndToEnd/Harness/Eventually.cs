using System.Diagnostics;
using Grpc.Core;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>Polls for a condition, with a deadline.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    /// <summary>Waits until <paramref name="condition"/> holds; a server that is not up yet, or that does not answer in time, counts as no.</summary>
    /// <exception cref="TimeoutException">It does not hold in time; the message says <paramref name="what"/> and the last reason.</exception>
    public static async Task HoldsAsync(string what, Func<Task<bool>> condition, TimeSpan? deadline = null)
    {
        var budget = deadline ?? TimeSpan.FromSeconds(60);
        var clock = Stopwatch.StartNew();
        Exception? last = null;
        while (clock.Elapsed < budget)
        {
            try
            {
                if (await condition())
                {
                    return;
                }

                last = null;
            }
            catch (Exception e) when (e is HttpRequestException or IOException or RpcException or OperationCanceledException { InnerException: TimeoutException })
            {
                last = e;
            }

            await Task.Delay(Interval);
        }

        throw new TimeoutException($"Not within {budget.TotalSeconds:0} s: {what}.", last);
    }

    /// <summary>As <see cref="HoldsAsync(string, Func{Task{bool}}, TimeSpan?)"/>.</summary>
    public static Task HoldsAsync(string what, Func<bool> condition, TimeSpan? deadline = null) => HoldsAsync(what, () => Task.FromResult(condition()), deadline);
}
