namespace SpegelDapr.Simulation;

/// <summary>
/// Time that passes when it is told to: from one timer to the next. As FakeTimeProvider, which looks at all timers for each step, and there are a hundred
/// thousand here.
/// </summary>
internal sealed class VirtualTime : TimeProvider
{
    private static readonly DateTimeOffset Start = DateTimeOffset.UnixEpoch.AddYears(50);

    private readonly Lock _lock = new();
    private readonly List<Due> _heap = [];
    private long _now;
    private long _order;

    /// <summary>How much time has passed.</summary>
    public TimeSpan Elapsed => TimeSpan.FromTicks(GetTimestamp());

    /// <inheritdoc/>
    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <inheritdoc/>
    public override long GetTimestamp() => Interlocked.Read(ref _now);

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => Start + Elapsed;

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    /// <summary>Has something happen later.</summary>
    public void After(TimeSpan delay, Action action) => Add(new Due(action), delay);

    /// <summary>Goes on to what is due next, and has it happen; false when there is nothing.</summary>
    public bool Step()
    {
        Due next;
        lock (_lock)
        {
            if (_heap.Count == 0)
            {
                return false;
            }

            next = _heap[0];
            RemoveAt(0);
            Interlocked.Exchange(ref _now, next.At);
        }

        next.Action();
        return true;
    }

    private void Add(Due due, TimeSpan delay)
    {
        lock (_lock)
        {
            (due.At, due.Order, due.Index) = (_now + Math.Max(0, delay.Ticks), _order++, _heap.Count);
            _heap.Add(due);
            Up(due.Index);
        }
    }

    private void Remove(Due due)
    {
        lock (_lock)
        {
            if (due.Index >= 0)
            {
                RemoveAt(due.Index);
            }
        }
    }

    private void RemoveAt(int index)
    {
        _heap[index].Index = -1;
        var last = _heap[^1];
        _heap.RemoveAt(_heap.Count - 1);
        if (index < _heap.Count)
        {
            Put(last, index);
            Up(index);
            Down(last.Index);
        }
    }

    private void Up(int index)
    {
        for (var due = _heap[index]; index > 0 && due.IsBefore(_heap[(index - 1) / 2]);)
        {
            Put(_heap[(index - 1) / 2], index);
            Put(due, index = (index - 1) / 2);
        }
    }

    private void Down(int index)
    {
        for (var due = _heap[index]; (2 * index) + 1 < _heap.Count;)
        {
            var child = (2 * index) + 1;
            child = child + 1 < _heap.Count && _heap[child + 1].IsBefore(_heap[child]) ? child + 1 : child;
            if (!_heap[child].IsBefore(due))
            {
                return;
            }

            Put(_heap[child], index);
            Put(due, index = child);
        }
    }

    private void Put(Due due, int index) => (_heap[index], due.Index) = (due, index);

    /// <summary>Something that is to happen; of two at the same time the one that was added first does.</summary>
    private sealed class Due(Action action)
    {
        public Action Action => action;

        public long At { get; set; }

        public long Order { get; set; }

        /// <summary>Its place in the heap; -1 when it is not there.</summary>
        public int Index { get; set; } = -1;

        public bool IsBefore(Due other) => At < other.At || (At == other.At && Order < other.Order);
    }

    private sealed class Timer : ITimer
    {
        private readonly VirtualTime _time;
        private readonly Due _due;
        private TimeSpan _period = Timeout.InfiniteTimeSpan;
        private bool _disposed;

        public Timer(VirtualTime time, TimerCallback callback, object? state)
        {
            _time = time;
            _due = new Due(() =>
            {
                if (_period > TimeSpan.Zero)
                {
                    _time.Add(_due!, _period);
                }

                callback(state);
            });
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            _time.Remove(_due);
            _period = period;
            if (!_disposed && dueTime != Timeout.InfiniteTimeSpan)
            {
                _time.Add(_due, dueTime);
            }

            return !_disposed;
        }

        public void Dispose()
        {
            _disposed = true;
            _time.Remove(_due);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
