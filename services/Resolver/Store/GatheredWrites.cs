namespace SpegelDapr.Resolver.Store;

/// <summary>
/// Writes that would meet in the same documents: what comes while a write is under way is written together by the next one, so that only replicas
/// compete. What its caller has given up before its turn is left out.
/// </summary>
/// <typeparam name="TTarget">What is written to. Targets do not wait for each other.</typeparam>
/// <typeparam name="TItem">What is written.</typeparam>
/// <param name="write">Writes items in the order in which they have come. If it fails, it fails for all of them.</param>
/// <param name="sizeOf">How large an item is.</param>
/// <param name="mostPerWrite">The size from which on a write takes no more items.</param>
/// <param name="budget">How long one write may take with all its attempts. No caller can end it, because others depend on it.</param>
/// <param name="time">Measures the budget.</param>
internal sealed class GatheredWrites<TTarget, TItem>(
    Func<TTarget, IReadOnlyList<TItem>, CancellationToken, Task> write,
    Func<TItem, int> sizeOf,
    int mostPerWrite,
    TimeSpan budget,
    TimeProvider time)
    where TTarget : notnull
{
    /// <summary>The most items that wait for one target.</summary>
    private const int MostWaiting = 4096;

    private readonly Lock _lock = new();

    /// <summary>What waits, for each target that is being written to.</summary>
    private readonly Dictionary<TTarget, Queue<Waiting>> _waiting = [];

    /// <summary>Writes an item.</summary>
    /// <exception cref="StoreUnavailableException">It may not have been written, or too much waits already.</exception>
    public async Task AddAsync(TTarget target, TItem item, CancellationToken cancellation)
    {
        var mine = new Waiting(item, cancellation);
        if (Enqueue(target, mine))
        {
            _ = WriteAllAsync(target);
        }

        await mine.Written.Task.WaitAsync(cancellation);
    }

    /// <summary>Whether the target is not being written to yet.</summary>
    private bool Enqueue(TTarget target, Waiting mine)
    {
        lock (_lock)
        {
            var isWriting = _waiting.TryGetValue(target, out var waiting);
            waiting ??= _waiting[target] = [];
            if (waiting.Count >= MostWaiting)
            {
                throw new StoreUnavailableException($"{MostWaiting} writes to the same documents of the state store wait already.");
            }

            waiting.Enqueue(mine);
            return !isWriting;
        }
    }

    private async Task WriteAllAsync(TTarget target)
    {
        while (Take(target) is { Count: > 0 } batch)
        {
            await WriteAsync(target, batch);
        }
    }

    /// <summary>As much as fits of what waits. When that is nothing, the target is no longer being written to.</summary>
    private List<Waiting> Take(TTarget target)
    {
        lock (_lock)
        {
            var batch = new List<Waiting>();
            for (var size = 0; size < mostPerWrite && _waiting[target].TryDequeue(out var next);)
            {
                if (!next.Cancellation.IsCancellationRequested)
                {
                    batch.Add(next);
                    size += sizeOf(next.Item);
                }
            }

            if (batch.Count == 0)
            {
                _waiting.Remove(target);
            }

            return batch;
        }
    }

    private async Task WriteAsync(TTarget target, List<Waiting> batch)
    {
        try
        {
            using var end = new CancellationTokenSource(budget, time);
            await write(target, [.. batch.Select(waiting => waiting.Item)], end.Token);
            batch.ForEach(waiting => waiting.Written.SetResult());
        }
        catch (OperationCanceledException e)
        {
            Fail(new StoreUnavailableException($"The state store does not take a write within {budget.TotalSeconds} s.", e));
        }
        catch (Exception e)
        {
            // Whatever it is, it belongs to each of those who wait.
            Fail(e);
        }

        void Fail(Exception e) => batch.ForEach(waiting =>
        {
            waiting.Written.SetException(e);

            // One who has stopped waiting never looks at it.
            _ = waiting.Written.Task.Exception;
        });
    }

    private sealed record Waiting(TItem Item, CancellationToken Cancellation)
    {
        public TaskCompletionSource Written { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
