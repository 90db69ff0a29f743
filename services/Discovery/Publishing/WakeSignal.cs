namespace SpegelDapr.Discovery.Publishing;

/// <summary>Wakes the one that waits. Set several times before it waits, it wakes once.</summary>
internal sealed class WakeSignal(TimeProvider time)
{
    private TaskCompletionSource _set = New();

    /// <summary>Wakes the one that waits, now or when it next does.</summary>
    public void Set() => Volatile.Read(ref _set).TrySetResult();

    /// <summary>Waits until it is set, at most <paramref name="timeout"/>, which may be infinite; returns whether it was.</summary>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public async Task<bool> WaitAsync(TimeSpan timeout, CancellationToken cancellationToken)
    {
        var set = Volatile.Read(ref _set).Task;
        if (timeout != TimeSpan.Zero)
        {
            await set.WaitAsync(timeout, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        cancellationToken.ThrowIfCancellationRequested();
        if (!set.IsCompleted)
        {
            return false;
        }

        Volatile.Write(ref _set, New());
        return true;
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
