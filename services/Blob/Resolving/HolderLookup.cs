using System.Collections.Concurrent;
using Microsoft.Extensions.Caching.Memory;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Resolving;

/// <summary>
/// Who holds content, from memory where it was asked a moment ago. Requests for a key that is being asked wait for that answer. Holders that were
/// known are used for some time longer while no resolver answers.
/// </summary>
internal sealed class HolderLookup(ResolverClient resolver, TimeProvider time, IHostApplicationLifetime lifetime) : IDisposable
{
    private const int MostRemembered = 50_000;

    private static readonly TimeSpan HoldersLive = TimeSpan.FromSeconds(30);

    /// <summary>A tag may move.</summary>
    private static readonly TimeSpan TagsLive = TimeSpan.FromSeconds(1);

    /// <summary>A miss may end any moment; by this, who asks without pause asks twenty times a second.</summary>
    private static readonly TimeSpan MissesLive = TimeSpan.FromMilliseconds(50);

    /// <summary>How long holders are used while no resolver answers. One that no longer has the content costs a question to it.</summary>
    private static readonly TimeSpan HoldersServe = TimeSpan.FromMinutes(5);

    /// <summary>The same for tags, of which the registry may know better.</summary>
    private static readonly TimeSpan TagsServe = TimeSpan.FromSeconds(10);

    private readonly MemoryCache _answers = new(new MemoryCacheOptions { SizeLimit = MostRemembered });
    private readonly ConcurrentDictionary<ContentKey, Task<ResolveAnswer?>> _asking = new();

    /// <summary>Who holds the key; null when no resolver answers, and nobody was known to hold it a short time ago.</summary>
    public async ValueTask<ResolvedKey?> FindAsync(ContentKey key, CancellationToken cancellation) => (await FindAsync(key, fetching: null, cancellation)).Known;

    /// <summary>
    /// The same for content that this node is about to fetch, if <paramref name="fetching"/> is given: where a resolver has to be asked, it says in the same
    /// answer whom to follow.
    /// </summary>
    public async ValueTask<(ResolvedKey? Known, FollowAnswer? Follow)> FindAsync(ContentKey key, Fetching? fetching, CancellationToken cancellation)
    {
        if (Recall(key, Lives) is { } known)
        {
            return (known, null);
        }

        var answer = await Ask([key], fetching)[0].WaitAsync(cancellation);
        return (answer?.Keys.FirstOrDefault(answer => answer.Key == key) ?? Recall(key, Serves), answer?.Follow);
    }

    /// <summary>Asks in the background for keys that will be needed soon, in one question. What it has no room for is asked about when it is needed.</summary>
    public void FindAhead(IEnumerable<ContentKey> keys) =>
        Ask([.. keys.Distinct().Where(key => Recall(key, Lives) is null).Take(ResolveRequest.MaxKeys)]);

    /// <summary>Asks anew the next time, because what was known has not helped.</summary>
    public void Forget(ContentKey key) => _answers.Remove(key);

    /// <inheritdoc/>
    public void Dispose() => _answers.Dispose();

    private ResolvedKey? Recall(ContentKey key, Func<ResolvedKey, TimeSpan> lives) =>
        _answers.Get<Known>(key) is { } known && time.GetElapsedTime(known.At) < lives(known.Answer) ? known.Answer : null;

    private static TimeSpan Lives(ResolvedKey answer) => answer.Holders.Count == 0 ? MissesLive : answer.Key.IsTag ? TagsLive : HoldersLive;

    private static TimeSpan Serves(ResolvedKey answer) => answer.Holders.Count == 0 ? MissesLive : answer.Key.IsTag ? TagsServe : HoldersServe;

    /// <summary>One question for those of the keys that nobody is asking for; for each key, the task of its question.</summary>
    private Task<ResolveAnswer?>[] Ask(IReadOnlyList<ContentKey> keys, Fetching? fetching = null)
    {
        var question = new TaskCompletionSource<ResolveAnswer?>(TaskCreationOptions.RunContinuationsAsynchronously);
        var tasks = keys.Select(key => _asking.GetOrAdd(key, question.Task)).ToArray();
        var mine = keys.Where((_, i) => tasks[i] == question.Task).ToList();
        if (mine.Count > 0)
        {
            _ = AskAsync(mine, fetching, question);
        }

        return tasks;
    }

    private async Task AskAsync(List<ContentKey> keys, Fetching? fetching, TaskCompletionSource<ResolveAnswer?> question)
    {
        ResolveAnswer? answers = null;
        try
        {
            // Not the token of one request: others may wait for the same answer. The resolver client has its own budget.
            answers = await resolver.ResolveAsync(keys, lifetime.ApplicationStopping, fetching);
            foreach (var answer in answers?.Keys ?? [])
            {
                Remember(answer);
            }
        }
        catch (OperationCanceledException)
        {
            // The service stops: what waits finds no holders.
        }
        finally
        {
            foreach (var key in keys)
            {
                _asking.TryRemove(key, out _);
            }

            question.SetResult(answers);
        }
    }

    private void Remember(ResolvedKey answer)
    {
        Set(answer);

        // After a tag containerd asks for its digest at once; the tag's holders have that manifest.
        if (answer is { Key.IsTag: true, Digest: { } digest, Holders.Count: > 0 })
        {
            Set(new ResolvedKey(digest, answer.Holders));
        }
    }

    private void Set(ResolvedKey answer) => _answers.Set(
        answer.Key,
        new Known(answer, time.GetTimestamp()),
        new MemoryCacheEntryOptions { Size = 1 + answer.Holders.Count, AbsoluteExpirationRelativeToNow = Serves(answer) });

    private sealed record Known(ResolvedKey Answer, long At);
}
