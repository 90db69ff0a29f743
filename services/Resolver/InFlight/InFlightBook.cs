using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.InFlight;

/// <summary>
/// Who is fetching what, in the state store, which all replicas of the resolver write. The nodes of a zone ask for the same content at once:
/// questions that come while a document is being written are decided together by the next write. While few nodes are in flight, and always when a node leads
/// or one has failed, a decision counts once the store has it, so that all replicas decide alike. Of many nodes each replica decides by what it knows, and
/// they tell one another once a second: two may then place a node at the same place, which only makes that one feed two.
/// </summary>
internal sealed class InFlightBook
{
    /// <summary>The most questions that are decided at once: with a full document they take some tens of milliseconds.</summary>
    private const int MostPerWrite = 256;

    /// <summary>Up to this number of nodes each decision is written.</summary>
    private const int MostNodesInStep = 32;

    /// <summary>How long this replica then decides alone.</summary>
    private static readonly TimeSpan AloneFor = TimeSpan.FromSeconds(1);

    /// <summary>Twice the time that a blob waits by default.</summary>
    private static readonly TimeSpan WriteBudget = TimeSpan.FromSeconds(1);

    private readonly IHolderStore _store;
    private readonly DocumentCache _cache;
    private readonly LeaseBook _leases;
    private readonly InFlightMemory _memory;
    private readonly ConflictBackoff _backoff;
    private readonly ResolverOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly GatheredWrites<Digest, Asked> _questions;

    public InFlightBook(
        IHolderStore store,
        DocumentCache cache,
        LeaseBook leases,
        InFlightMemory memory,
        ConflictBackoff backoff,
        IOptions<ResolverOptions> options,
        TimeProvider time,
        ILogger<InFlightBook> logger)
    {
        (_store, _cache, _leases, _memory, _backoff) = (store, cache, leases, memory, backoff);
        (_options, _time, _logger) = (options.Value, time, logger);
        _questions = new GatheredWrites<Digest, Asked>(DecideAsync, _ => 1, MostPerWrite, WriteBudget, time);
    }

    /// <summary>Decides between equals.</summary>
    internal Random Random { get; init; } = Random.Shared;

    /// <summary>Decides whom a node of the resolver's own location follows, and records it as in flight.</summary>
    /// <exception cref="StoreUnavailableException">It has not been recorded for certain; to repeat the question does no harm.</exception>
    public async Task<FollowAnswer> FollowAsync(FollowRequest question, CancellationToken cancellation)
    {
        var asked = new Asked(question);
        await _questions.AddAsync(question.Digest, asked, cancellation);
        return asked.Answer!;
    }

    /// <summary>The nodes in flight with some content, as they were a moment ago.</summary>
    /// <exception cref="StoreUnavailableException">The store does not answer.</exception>
    public async Task<IReadOnlyList<InFlightNode>> FindAsync(Location location, Digest digest, CancellationToken cancellation)
    {
        var key = StoreKeys.InFlight(location, digest);
        var found = await _cache.GetAsync([key], StoreJson.Default.InFlightDocument, cancellation);
        return found.GetValueOrDefault(key, InFlightDocument.Empty).At(_time.GetUtcNow()).Nodes;
    }

    private async Task DecideAsync(Digest digest, IReadOnlyList<Asked> questions, CancellationToken cancellation)
    {
        if (_memory.Recall(digest) is { } known && known.Document.Nodes.Count > MostNodesInStep && _time.GetElapsedTime(known.StoredAt) < AloneFor)
        {
            var after = await DecideAsync(digest, known.Document, questions, known.Shared, cancellation);
            if (questions.All(asked => asked.IsForOneReplica(known.Document)))
            {
                _memory.Remember(digest, known with { Document = after });
                return;
            }
        }

        var key = StoreKeys.InFlight(_options.Location, digest);
        for (var attempt = 1; ; attempt++)
        {
            var stored = (await _store.GetAsync([key], cancellation))[0];
            var before = stored.Read(StoreJson.Default.InFlightDocument, _logger) ?? InFlightDocument.Empty;
            var merged = _memory.Recall(digest) is { } mine ? before.With(mine.Stored, mine.Document, _options.MaxFollowers) : before;
            var after = await DecideAsync(digest, merged, questions, shared: null, cancellation);
            if (after.Nodes.SequenceEqual(before.Nodes)
                || await _store.TrySaveAsync([after.ToWrite(key, StoreJson.Default.InFlightDocument, stored.ETag, InFlightDocument.CountsFor)], cancellation))
            {
                _cache.Set(key, after);
                _memory.Remember(digest, new InFlightMemory.Remembered(after, after, _time.GetTimestamp()));
                return;
            }

            await _backoff.WaitAsync(attempt, cancellation);
        }
    }

    private async Task<InFlightDocument> DecideAsync(
        Digest digest, InFlightDocument document, IReadOnlyList<Asked> questions, IReadOnlySet<NodeName>? shared, CancellationToken cancellation)
    {
        var named = questions.SelectMany(asked => (asked.Question.Holders ?? []).Append(asked.Question.Node));
        var alive = await AliveAsync([.. document.Nodes.Select(node => node.Node), .. named], cancellation);
        return Decide(document, questions, alive, _memory.Elsewhere(digest), shared);
    }

    private InFlightDocument Decide(
        InFlightDocument document,
        IReadOnlyList<Asked> questions,
        IReadOnlyDictionary<NodeName, NodeIdentity> alive,
        Func<NodeName, InFlightLoad> elsewhere,
        IReadOnlySet<NodeName>? shared)
    {
        var now = _time.GetUtcNow();
        foreach (var asked in questions)
        {
            (document, asked.Answer) = document.Follow(asked.Question, alive, elsewhere, _options.MaxFollowers, now, Random, shared);
        }

        return document;
    }

    private async Task<IReadOnlyDictionary<NodeName, NodeIdentity>> AliveAsync(IReadOnlyList<NodeName> nodes, CancellationToken cancellation)
    {
        var known = _memory.RecallLeases(nodes);
        var others = nodes.Where(node => !known.ContainsKey(node)).Select(node => new LeaseHolder(_options.Location, node)).ToList();
        if (others.Count > 0)
        {
            var found = await _leases.RecallAsync(others, cancellation);
            _memory.Remember(found.Values);
            found.ToList().ForEach(lease => known[lease.Key.Name] = lease.Value);
        }

        var now = _time.GetUtcNow();
        return known.Where(lease => lease.Value.IsAlive(now)).ToDictionary(lease => lease.Key, lease => lease.Value.Node);
    }

    private sealed class Asked(FollowRequest question)
    {
        public FollowRequest Question => question;

        public FollowAnswer? Answer { get; set; }

        /// <summary>Whether the answer does not matter to the other replicas at once: the asker neither leads nor knows that another node has gone.</summary>
        public bool IsForOneReplica(InFlightDocument before) =>
            question.OnlyTells || (Answer is { Parent: not null } && !question.Failed.Any(before.Has));
    }
}
