using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace SpegelDapr.Simulation;

/// <summary>
/// Runs asynchronous code on one thread, one continuation after the other, and lets virtual time pass only when none is left. What a library continues on
/// the thread pool (Polly and HttpClient do, by ConfigureAwait(false)) is waited for before anything else runs. So the same seed gives the same run.
/// </summary>
internal sealed class EventLoop(VirtualTime time) : SynchronizationContext
{
    /// <summary>How often it is looked how many of the pool's threads are busy with something else.</summary>
    private const int Looks = 5;

    /// <summary>
    /// What the pool's threads are busy with may have nothing to do with this. On a machine that is busy a thread may also be late: then one simulated timer too
    /// many might pass, so this is long.
    /// </summary>
    private static readonly TimeSpan MostSettling = TimeSpan.FromSeconds(2);

    private readonly Lock _lock = new();
    private readonly Queue<(SendOrPostCallback Callback, object? State)> _ready = new();

    /// <summary>How many threads of the pool are busy with something else: the fewest that have been seen.</summary>
    private int _idle = int.MaxValue;

    /// <inheritdoc/>
    public override void Post(SendOrPostCallback d, object? state)
    {
        lock (_lock)
        {
            _ready.Enqueue((d, state));
        }
    }

    /// <inheritdoc/>
    public override void Send(SendOrPostCallback d, object? state) => throw new NotSupportedException();

    /// <summary>Runs something to its end, on a thread of its own.</summary>
    /// <param name="main">What to run.</param>
    /// <param name="most">The most virtual time that it may take.</param>
    /// <exception cref="TimeoutException">It takes longer, or waits for what never happens.</exception>
    public static void Run(VirtualTime time, Func<Task> main, TimeSpan most)
    {
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                new EventLoop(time).Run(main, most);
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
    }

    private void Run(Func<Task> main, TimeSpan most)
    {
        SetSynchronizationContext(this);
        for (var look = 0; look < Looks; look++)
        {
            _idle = Math.Min(_idle, BusyThreads());
            Thread.Sleep(1);
        }

        var task = main();
        while (true)
        {
            Settle();
            if (TryTake(out var next))
            {
                next.Callback(next.State);
            }
            else if (task.IsCompleted)
            {
                task.GetAwaiter().GetResult();
                return;
            }
            else if (time.Elapsed > most || (!time.Step() && !SpinWait.SpinUntil(() => IsReady, MostSettling)))
            {
                throw new TimeoutException($"It has not ended after {time.Elapsed} of virtual time.");
            }
        }
    }

    private bool IsReady
    {
        get
        {
            lock (_lock)
            {
                return _ready.Count > 0;
            }
        }
    }

    private bool TryTake(out (SendOrPostCallback Callback, object? State) next)
    {
        lock (_lock)
        {
            return _ready.TryDequeue(out next);
        }
    }

    /// <summary>Waits until the pool's threads have come to rest.</summary>
    private void Settle()
    {
        if (ThreadPool.PendingWorkItemCount == 0 && BusyThreads() is var busy && busy <= _idle)
        {
            _idle = busy;
            return;
        }

        var started = Stopwatch.GetTimestamp();
        var wait = default(SpinWait);
        while ((ThreadPool.PendingWorkItemCount > 0 || BusyThreads() > _idle) && Stopwatch.GetElapsedTime(started) < MostSettling)
        {
            wait.SpinOnce(sleep1Threshold: -1);
        }
    }

    private static int BusyThreads()
    {
        ThreadPool.GetMaxThreads(out var most, out _);
        ThreadPool.GetAvailableThreads(out var available, out _);
        return most - available;
    }
}
