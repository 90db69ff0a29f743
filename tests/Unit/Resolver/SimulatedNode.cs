using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Hearing;

namespace SpegelDapr.Unit.Resolver;

/// <summary>A node's content and the events its discovery makes of it, by the rules of <see cref="LayerEvent"/>.</summary>
internal sealed class SimulatedNode(string name, TimeProvider time, Action<LayerEvent> publish)
{
    private const int KeysPerChunk = 2;

    private readonly Dictionary<ContentKey, HeldKey> _content = [];
    private SnapshotNeed _need = new(time);
    private long _epoch;
    private long _sequence;

    public NodeIdentity Identity { get; } =
        new(NodeName.Parse(name), Location.Default, BlobAddress.Parse($"http://{name}.example:5000"));

    /// <summary>Whether its discovery runs.</summary>
    public bool IsRunning { get; private set; }

    public long Epoch => _epoch;

    public IReadOnlyCollection<HeldKey> Content => _content.Values;

    /// <summary>Starts the discovery, or starts it anew after a crash.</summary>
    public void Start()
    {
        _epoch = Math.Max(_epoch + 1, time.GetUtcNow().ToUnixTimeMilliseconds());
        _sequence = 0;
        _need = new SnapshotNeed(time);
        IsRunning = true;
        Snapshot();
    }

    public void Crash() => IsRunning = false;

    public void Leave()
    {
        if (IsRunning)
        {
            publish(new LeavingEvent { Node = Identity, Epoch = _epoch, Sequence = _sequence });
            IsRunning = false;
        }
    }

    /// <summary>Content may also change while no discovery runs; the next snapshot tells.</summary>
    public void Hold(params HeldKey[] held)
    {
        var removed = held.Select(one => _content.GetValueOrDefault(one.Key)).OfType<HeldKey>().Where(old => !held.Contains(old)).ToList();
        var added = held.Where(one => _content.GetValueOrDefault(one.Key) != one).ToList();
        foreach (var one in added)
        {
            _content[one.Key] = one;
        }

        Delta(removed, added);
    }

    public void Lose(ContentKey key)
    {
        if (_content.Remove(key, out var held))
        {
            Delta([held], []);
        }
    }

    public void Heartbeat()
    {
        if (IsRunning)
        {
            publish(new HeartbeatEvent { Node = Identity, Epoch = _epoch, Sequence = _sequence, Summary = ContentSummary.Of(_content.Values) });
        }
    }

    /// <summary>What it asks after a heartbeat.</summary>
    public HearingRequest Question => new(Identity.Name, Identity.Location, _epoch, _sequence, ContentSummary.Of(_content.Values));

    /// <summary>Hears the answer; returns whether it sends a snapshot.</summary>
    public bool Hear(Heard heard)
    {
        var isNeeded = IsRunning && _need.Take(heard, isFirst: true).IsNeeded;
        if (isNeeded)
        {
            Snapshot();
        }

        return isNeeded;
    }

    /// <summary>Says all it holds.</summary>
    public void Snapshot()
    {
        var chunks = _content.Values.Chunk(KeysPerChunk).DefaultIfEmpty([]).ToList();
        _sequence++;
        foreach (var (number, keys) in chunks.Index())
        {
            publish(new SnapshotEvent { Node = Identity, Epoch = _epoch, Sequence = _sequence, Chunk = number, Chunks = chunks.Count, Keys = keys });
        }
    }

    private void Delta(List<HeldKey> removed, List<HeldKey> added)
    {
        if (IsRunning && removed.Count + added.Count > 0)
        {
            publish(new DeltaEvent { Node = Identity, Epoch = _epoch, Sequence = ++_sequence, Removed = removed, Added = added });
        }
    }
}
