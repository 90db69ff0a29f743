namespace SpegelDapr.LocalDapr.Tests.Support;

internal static class Eventually
{
    /// <summary>How long anything may take before a test fails.</summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    /// <summary>Waits until a condition holds.</summary>
    public static async Task TrueAsync(Func<Task<bool>> condition, TimeSpan? budget = null)
    {
        using var deadline = new CancellationTokenSource(budget ?? Deadline);
        while (!await condition())
        {
            await Task.Delay(20, deadline.Token);
        }
    }
}
