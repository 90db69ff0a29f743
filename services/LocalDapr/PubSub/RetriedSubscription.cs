namespace SpegelDapr.LocalDapr.PubSub;

/// <summary>
/// A subscription that has failed, and is tried with growing pauses until it succeeds or is disposed (retrySubscription in
/// dapr/pkg/runtime/processor/subscriber).
/// </summary>
internal sealed class RetriedSubscription : IAsyncDisposable
{
    private const double Growth = 1.5;

    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(1);

    private readonly CancellationTokenSource _stopping = new();
    private readonly Task<IAsyncDisposable?> _subscribed;

    /// <summary>Begins to try.</summary>
    /// <param name="subscribe">Tries once; a <see cref="LocalDaprException"/> means another time.</param>
    /// <param name="time">The clock of the pauses.</param>
    public RetriedSubscription(Func<CancellationToken, Task<IAsyncDisposable>> subscribe, TimeProvider time) => _subscribed = TryAsync(subscribe, time, _stopping.Token);

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        if (await _subscribed is { } subscription)
        {
            await subscription.DisposeAsync();
        }

        _stopping.Dispose();
    }

    private static async Task<IAsyncDisposable?> TryAsync(Func<CancellationToken, Task<IAsyncDisposable>> subscribe, TimeProvider time, CancellationToken stopping)
    {
        for (var pause = FirstPause; ; pause = pause * Growth < LongestPause ? pause * Growth : LongestPause)
        {
            try
            {
                await Task.Delay(pause, time, stopping);
                return await subscribe(stopping);
            }
            catch (LocalDaprException)
            {
                // The next time.
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return null;
            }
        }
    }
}
