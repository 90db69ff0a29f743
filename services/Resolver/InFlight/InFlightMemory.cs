using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;

namespace SpegelDapr.Resolver.InFlight;

/// <summary>
/// What this replica knows of who is in flight: its own decisions since the store was last asked, and what each node of the zone has to do. Another replica's
/// decisions are noticed late, and those on what has not been asked for here never.
/// </summary>
internal sealed class InFlightMemory(TimeProvider time)
{
    /// <summary>With the most nodes in each some MiB.</summary>
    private const int MostDocuments = 512;

    private const int MostLeases = 10_000;

    /// <summary>Most content has arrived by then.</summary>
    private static readonly TimeSpan LoadsCountFor = TimeSpan.FromMinutes(1);

    /// <summary>A load that is a little old spreads the next ones as well, and to add all up takes longer than to decide.</summary>
    private static readonly TimeSpan LoadsLive = TimeSpan.FromMilliseconds(100);

    private readonly Lock _lock = new();

    /// <summary>The one that has been remembered last comes last.</summary>
    private readonly OrderedDictionary<Digest, Remembered> _documents = [];

    /// <summary>To ask for the leases of all nodes of a document takes longer than to decide.</summary>
    private readonly Dictionary<NodeName, (Lease Lease, long AsOf)> _leases = [];

    private Dictionary<NodeName, InFlightLoad> _loads = [];
    private long? _loadsAsOf;

    /// <summary>Those of the nodes whose leases were known a moment ago.</summary>
    public Dictionary<NodeName, Lease> RecallLeases(IEnumerable<NodeName> nodes)
    {
        lock (_lock)
        {
            var known = new Dictionary<NodeName, Lease>();
            foreach (var node in nodes)
            {
                if (_leases.TryGetValue(node, out var lease) && time.GetElapsedTime(lease.AsOf) < LoadsLive)
                {
                    known[node] = lease.Lease;
                }
            }

            return known;
        }
    }

    /// <summary>Remembers leases for a moment.</summary>
    public void Remember(IEnumerable<Lease> leases)
    {
        lock (_lock)
        {
            if (_leases.Count > MostLeases)
            {
                _leases.Clear();
            }

            var now = time.GetTimestamp();
            foreach (var lease in leases)
            {
                _leases[lease.Node.Name] = (lease, now);
            }
        }
    }

    /// <summary>What is remembered of who fetches some content; null when nothing is.</summary>
    public Remembered? Recall(Digest digest)
    {
        lock (_lock)
        {
            return _documents.GetValueOrDefault(digest);
        }
    }

    /// <summary>Remembers who fetches some content.</summary>
    public void Remember(Digest digest, Remembered known)
    {
        lock (_lock)
        {
            _documents.Remove(digest);
            while (_documents.Count >= MostDocuments || (_documents.Count > 0 && _documents.GetAt(0).Value.Document.At(time.GetUtcNow()).Nodes.Count == 0))
            {
                _documents.RemoveAt(0);
            }

            _documents.Add(digest, known);
        }
    }

    /// <summary>What the nodes have to do with other content than this; nothing for a node that is not known.</summary>
    public Func<NodeName, InFlightLoad> Elsewhere(Digest digest)
    {
        lock (_lock)
        {
            if (_loadsAsOf is not { } asOf || time.GetElapsedTime(asOf) >= LoadsLive)
            {
                (_loads, _loadsAsOf) = (LoadsOf(_documents.Values.Select(known => known.Document)), time.GetTimestamp());
            }

            var (loads, own) = (_loads, LoadsOf(_documents.TryGetValue(digest, out var known) ? [known.Document] : []));
            return node => loads.GetValueOrDefault(node) - own.GetValueOrDefault(node);
        }
    }

    private Dictionary<NodeName, InFlightLoad> LoadsOf(IEnumerable<InFlightDocument> documents)
    {
        var now = time.GetUtcNow();
        var loads = new Dictionary<NodeName, InFlightLoad>();
        foreach (var node in documents.SelectMany(document => document.Nodes).Where(node => now - node.Since < LoadsCountFor))
        {
            loads[node.Node] = loads.GetValueOrDefault(node.Node) + new InFlightLoad(node.IsComplete ? 0 : 1, node.Followers);
        }

        return loads;
    }

    /// <summary>A document as this replica knows it.</summary>
    /// <param name="Document">With all that it has decided.</param>
    /// <param name="Stored">As the store had it last.</param>
    /// <param name="StoredAt">When that was, as a timestamp.</param>
    public sealed record Remembered(InFlightDocument Document, InFlightDocument Stored, long StoredAt)
    {
        /// <summary>The nodes that the other replicas know as well.</summary>
        public IReadOnlySet<NodeName> Shared { get; } = Stored.Nodes.Select(node => node.Node).ToHashSet();
    }
}

/// <summary>What a node has to do.</summary>
/// <param name="Digests">How many contents it fetches.</param>
/// <param name="Followers">How many nodes follow it in all.</param>
internal readonly record struct InFlightLoad(int Digests, int Followers)
{
    /// <summary>Both together.</summary>
    public static InFlightLoad operator +(InFlightLoad one, InFlightLoad other) => new(one.Digests + other.Digests, one.Followers + other.Followers);

    /// <summary>The one without the other, of which it may be known a little less.</summary>
    public static InFlightLoad operator -(InFlightLoad one, InFlightLoad other) =>
        new(Math.Max(0, one.Digests - other.Digests), Math.Max(0, one.Followers - other.Followers));
}
