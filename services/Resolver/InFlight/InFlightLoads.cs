using System.Runtime.InteropServices;
using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver.InFlight;

/// <summary>
/// What each node of the zone has to do, as far as this replica has read or written it of late. Another replica's decisions are noticed late or
/// never: it only serves to spread the load.
/// </summary>
internal sealed class InFlightLoads(TimeProvider time)
{
    private const int MostDocuments = 128;

    /// <summary>Most content has arrived by then.</summary>
    private static readonly TimeSpan CountsFor = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();

    /// <summary>The one that has been remembered last comes last.</summary>
    private readonly OrderedDictionary<Digest, InFlightDocument> _documents = [];

    /// <summary>Remembers a document as it is now.</summary>
    public void Remember(Digest digest, InFlightDocument document)
    {
        lock (_lock)
        {
            _documents.Remove(digest);
            while (_documents.Count >= MostDocuments || (_documents.Count > 0 && !_documents.GetAt(0).Value.Nodes.Any(IsRecent)))
            {
                _documents.RemoveAt(0);
            }

            _documents.Add(digest, document);
        }
    }

    /// <summary>What the nodes have to do with other content than this; nothing for a node that is not known.</summary>
    public Func<NodeName, InFlightLoad> Elsewhere(Digest digest)
    {
        List<InFlightDocument> others;
        lock (_lock)
        {
            others = [.. _documents.Where(known => known.Key != digest).Select(known => known.Value)];
        }

        var loads = new Dictionary<NodeName, InFlightLoad>();
        foreach (var node in others.SelectMany(document => document.Nodes).Where(IsRecent))
        {
            LoadOf(node.Node) += new InFlightLoad(1, 0);
            if (node.Parent is { } parent)
            {
                LoadOf(parent) += new InFlightLoad(0, 1);
            }
        }

        return node => loads.GetValueOrDefault(node);

        ref InFlightLoad LoadOf(NodeName node) => ref CollectionsMarshal.GetValueRefOrAddDefault(loads, node, out _);
    }

    private bool IsRecent(InFlightNode node) => time.GetUtcNow() - node.Since < CountsFor;
}
