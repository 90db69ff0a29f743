using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Content;
using SpegelDapr.Discovery.Hearing;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Discovery.Publishing;

/// <summary>
/// Announces the node's content: a snapshot at the start, once a day and whenever resolvers lack something, changes in between, heartbeats, and a
/// leaving at the end. One loop sends everything, in the order of the sequence.
/// </summary>
internal sealed partial class Announcer : BackgroundService
{
    /// <summary>Changes are sent when none has followed for <see cref="QuietTime"/>, at the latest <see cref="LongestBatch"/> after the first.</summary>
    private static readonly TimeSpan QuietTime = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestBatch = TimeSpan.FromMilliseconds(100);

    /// <summary>When the first heartbeat follows the first snapshot, which nobody has heard if the resolvers were not subscribed yet.</summary>
    private static readonly TimeSpan FirstHeartbeatDelay = TimeSpan.FromSeconds(2);

    /// <summary>How long the leaving may take. A sidecar that ends with its pod waits as long.</summary>
    public static readonly TimeSpan LeavingBudget = TimeSpan.FromSeconds(2);

    private readonly IContentSource _source;
    private readonly HeldContent _held;
    private readonly EventPublisher _publisher;
    private readonly HearingCheck _hearing;
    private readonly TimeProvider _time;
    private readonly ILogger<Announcer> _logger;
    private readonly NodeIdentity _node;
    private readonly TimeSpan _heartbeatInterval;
    private readonly WakeSignal _wake;

    /// <summary>The sequence of the last snapshot or delta; each event's content is its own and is sent until it is taken, so no number is used twice.</summary>
    private long _sequence;
    private long _lastSnapshot;
    private TimeSpan _snapshotAge;
    private long _lastHeartbeat;
    private TimeSpan _heartbeatDelay;
    private volatile bool _snapshotWanted;

    public Announcer(
        IContentSource source,
        HeldContent held,
        EventPublisher publisher,
        HearingCheck hearing,
        DiscoveryMetrics metrics,
        IOptions<NodeOptions> node,
        IOptions<DiscoveryOptions> options,
        TimeProvider time,
        ILogger<Announcer> logger)
    {
        (_source, _held, _publisher, _hearing, _time, _logger) = (source, held, publisher, hearing, time, logger);
        (_node, _heartbeatInterval, _wake) = (node.Value.Identity, options.Value.HeartbeatInterval, new WakeSignal(time));
        Epoch = time.GetUtcNow().ToUnixTimeMilliseconds();
        metrics.Observe(held, () => source.IsReadable);
    }

    /// <summary>The epoch of all that is announced: when this discovery started.</summary>
    public long Epoch { get; }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var watching = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
        var watch = _source.WatchAsync(Apply, watching.Token);
        var hearing = _hearing.RunAsync(WantSnapshot, watching.Token);
        try
        {
            await await Task.WhenAny(watch, hearing, AnnounceAsync(watching.Token));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            await LeaveAsync();
        }
        finally
        {
            await watching.CancelAsync();
            await Task.WhenAll(watch, hearing).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private void Apply(ContentChange change)
    {
        if (_held.Apply(change))
        {
            _wake.Set();
        }
    }

    private void WantSnapshot()
    {
        _snapshotWanted = true;
        _wake.Set();
    }

    private async Task AnnounceAsync(CancellationToken cancellationToken)
    {
        while (!_held.IsComplete)
        {
            await _wake.WaitAsync(Timeout.InfiniteTimeSpan, cancellationToken);
        }

        await SendSnapshotAsync(cancellationToken);
        _lastHeartbeat = _time.GetTimestamp();
        _heartbeatDelay = FirstHeartbeatDelay < _heartbeatInterval ? FirstHeartbeatDelay : _heartbeatInterval;
        while (true)
        {
            if (await _wake.WaitAsync(UntilNextDue(), cancellationToken))
            {
                await GatherAsync(cancellationToken);
            }

            await SendChangesAsync(cancellationToken);
            if (_snapshotWanted || _time.GetElapsedTime(_lastSnapshot) >= _snapshotAge)
            {
                await SendSnapshotAsync(cancellationToken);
            }

            if (_time.GetElapsedTime(_lastHeartbeat) >= _heartbeatDelay)
            {
                (_lastHeartbeat, _heartbeatDelay) = (_time.GetTimestamp(), _heartbeatInterval);
                var heartbeat = new HeartbeatEvent { Node = _node, Epoch = Epoch, Sequence = _sequence, Summary = _held.TakenSummary };
                await _publisher.PublishAsync(heartbeat, cancellationToken);
                _hearing.Ask(heartbeat);
            }
        }
    }

    private TimeSpan UntilNextDue()
    {
        var due = _heartbeatDelay - _time.GetElapsedTime(_lastHeartbeat);
        return due > TimeSpan.Zero && !_snapshotWanted ? due : TimeSpan.Zero;
    }

    /// <summary>Waits for the changes that follow closely.</summary>
    private async Task GatherAsync(CancellationToken cancellationToken)
    {
        var first = _time.GetTimestamp();
        TimeSpan left;
        do
        {
            left = LongestBatch - _time.GetElapsedTime(first);
        }
        while (left > TimeSpan.Zero && await _wake.WaitAsync(left < QuietTime ? left : QuietTime, cancellationToken));
    }

    private async Task SendChangesAsync(CancellationToken cancellationToken)
    {
        var (removed, added) = _held.TakeChanges();

        // What is removed and added again stays together, so that it is not missing between two events.
        var changes = removed
            .Select(held => (Held: held, IsAdded: false))
            .Concat(added.Select(held => (Held: held, IsAdded: true)))
            .OrderBy(change => change.Held.Key.ToString(), StringComparer.Ordinal);
        foreach (var chunk in KeyChunks.Of(changes, change => change.Held))
        {
            var delta = new DeltaEvent
            {
                Node = _node,
                Epoch = Epoch,
                Sequence = ++_sequence,
                Removed = [.. chunk.Where(change => !change.IsAdded).Select(change => change.Held)],
                Added = [.. chunk.Where(change => change.IsAdded).Select(change => change.Held)],
            };
            await _publisher.PublishAsync(delta, cancellationToken);
            Log.Delta(_logger, _sequence, delta.Added.Count, delta.Removed.Count);
        }
    }

    private async Task SendSnapshotAsync(CancellationToken cancellationToken)
    {
        _snapshotWanted = false;
        _lastSnapshot = _time.GetTimestamp();

        // Nodes that were repaired together, after their store was lost, are not to repeat all together.
        _snapshotAge = SnapshotEvent.MostAge * (1 - (Random.Shared.NextDouble() / 4));
        var keys = _held.TakeAll();
        _sequence++;
        IReadOnlyList<IReadOnlyList<HeldKey>> chunks = [.. KeyChunks.Of(keys, held => held).DefaultIfEmpty([])];
        for (var i = 0; i < chunks.Count; i++)
        {
            var chunk = new SnapshotEvent { Node = _node, Epoch = Epoch, Sequence = _sequence, Chunk = i, Chunks = chunks.Count, Keys = chunks[i] };
            await _publisher.PublishAsync(chunk, cancellationToken);
        }

        Log.Snapshot(_logger, _sequence, keys.Count);
    }

    /// <summary>Says good-bye. When the sidecar stops first, the lease runs out by itself.</summary>
    private async Task LeaveAsync()
    {
        if (_sequence == 0)
        {
            return;
        }

        using var budget = new CancellationTokenSource(LeavingBudget, _time);
        try
        {
            await _publisher.PublishAsync(new LeavingEvent { Node = _node, Epoch = Epoch, Sequence = _sequence }, budget.Token);
        }
        catch (OperationCanceledException)
        {
            Log.NotLeft(_logger, LeavingBudget.TotalSeconds);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Information, Message = "Announced all {Count} keys with sequence {Sequence}")]
        public static partial void Snapshot(ILogger logger, long sequence, int count);

        [LoggerMessage(Level = LogLevel.Debug, Message = "Announced {Added} added and {Removed} removed keys with sequence {Sequence}")]
        public static partial void Delta(ILogger logger, long sequence, int added, int removed);

        [LoggerMessage(Level = LogLevel.Information, Message = "Could not announce that the node leaves in {Seconds} s; its lease will run out")]
        public static partial void NotLeft(ILogger logger, double seconds);
    }
}
