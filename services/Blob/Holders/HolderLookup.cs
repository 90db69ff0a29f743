using System.Collections.Concurrent;
using Microsoft.Extensions.Caching.Memory;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Holders;

/// <summary>
/// Who holds content, from memory where it was asked a moment ago. Requests for a key that is being asked wait for that answer.
/// </summary>
internal sealed class HolderLookup(ResolverClient resolver, IHostApplicationLifetime lifetime) : IDisposable
{
    private const int MostRemembered = 50_000;

    private static readonly TimeSpan HoldersLive = TimeSpan.FromSeconds(30);

    /// <summary>A miss may end any moment, and a tag may move.</summary>
    private static readonly TimeSpan MissesAndTagsLive = TimeSpan.FromSeconds(1);

    private readonly MemoryCache _answers = new(new MemoryCacheOptions { SizeLimit = MostRemembered });
    private readonly ConcurrentDictionary<ContentKey, Task> _asking = new();

    /// <summary>Who holds the key; null when no resolver answers.</summary>
    public async ValueTask<ResolvedKey?> FindAsync(ContentKey key, CancellationToken cancellation)
    {
        if (Recall(key) is { } known)
        {
            return known;
        }

        await Ask([key])[0].WaitAsync(cancellation);
        return Recall(key);
    }

    /// <summary>Asks in the background for keys that will be needed soon.</summary>
    public void FindAhead(IEnumerable<ContentKey> keys)
    {
        foreach (var chunk in keys.Where(key => Recall(key) is null).Distinct().Chunk(ResolveRequest.MaxKeys))
        {
            Ask(chunk);
        }
    }

    /// <summary>Asks anew the next time, because what was known has not helped.</summary>
    public void Forget(ContentKey key) => _answers.Remove(key);

    /// <inheritdoc/>
    public void Dispose() => _answers.Dispose();

    private ResolvedKey? Recall(ContentKey key) => _answers.Get<ResolvedKey>(key);

    /// <summary>One question for those of the keys that nobody is asking for; for each key, the task of its question.</summary>
    private Task[] Ask(IReadOnlyList<ContentKey> keys)
    {
        var question = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var tasks = keys.Select(key => _asking.GetOrAdd(key, question.Task)).ToArray();
        var mine = keys.Where((_, i) => tasks[i] == question.Task).ToList();
        if (mine.Count > 0)
        {
            _ = AskAsync(mine, question);
        }

        return tasks;
    }

    private async Task AskAsync(List<ContentKey> keys, TaskCompletionSource question)
    {
        try
        {
            // Not the token of one request: others may wait for the same answer. The resolver client has its own budget.
            foreach (var answer in await resolver.ResolveAsync(keys, lifetime.ApplicationStopping) ?? [])
            {
                Remember(answer);
            }
        }
        catch (OperationCanceledException)
        {
            // The service stops: whoever waits finds no holders.
        }
        finally
        {
            foreach (var key in keys)
            {
                _asking.TryRemove(key, out _);
            }

            question.SetResult();
        }
    }

    private void Remember(ResolvedKey answer)
    {
        var isStable = answer.Holders.Count > 0 && !answer.Key.IsTag;
        Set(answer, isStable ? HoldersLive : MissesAndTagsLive);

        // After a tag containerd asks for its digest at once; the tag's holders have that manifest.
        if (answer is { Key.IsTag: true, Digest: { } digest, Holders.Count: > 0 })
        {
            Set(new ResolvedKey(digest, answer.Holders), HoldersLive);
        }
    }

    private void Set(ResolvedKey answer, TimeSpan lives) => _answers.Set(
        answer.Key, answer, new MemoryCacheEntryOptions { Size = 1 + answer.Holders.Count, AbsoluteExpirationRelativeToNow = lives });
}
