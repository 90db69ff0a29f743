using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Holders;
using SpegelDapr.Resolver.InFlight;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Resolving;

/// <summary>Answers <see cref="ResolveRequest"/>: 200 with a <see cref="ResolveAnswer"/>, 400 for a bad question, 503 while the store is away.</summary>
internal sealed class ResolveEndpoint(
    HolderBook holders,
    InFlightBook inFlight,
    Reach reach,
    IOptions<ResolverOptions> options,
    ResolverMetrics metrics,
    TimeProvider time,
    ILogger<ResolveEndpoint> logger)
    : QuestionEndpoint<ResolveRequest, ResolveAnswer>(ContractsJson.Default.ResolveRequest, ContractsJson.Default.ResolveAnswer, MostBytes, time, logger)
{
    /// <summary>Enough for the most keys, each of them as long as a tag reference can be.</summary>
    private const int MostBytes = 512 * 1024;

    /// <summary>
    /// How long after the question it is still decided whom a node follows, which is written to the store. The node asks another replica when it has no answer
    /// after 100 ms, and who holds the content is to be told before.
    /// </summary>
    private static readonly TimeSpan FollowBudget = TimeSpan.FromMilliseconds(80);

    /// <summary>Maps the method.</summary>
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapPost("/" + ResolveRequest.Method, HandleAsync);

    /// <inheritdoc/>
    protected override string? ProblemOf(ResolveRequest question) => question switch
    {
        { Keys.Count: > ResolveRequest.MaxKeys } => $"The question has {question.Keys.Count} keys: ask for at most {ResolveRequest.MaxKeys} at once.",
        { Fetching: not null, Keys: not [{ IsTag: false }] } => "The question is whom to follow: ask for one digest.",
        _ => null,
    };

    /// <inheritdoc/>
    protected override async Task<(ResolveAnswer Answer, string Outcome)> AnswerAsync(ResolveRequest question, CancellationToken cancellation)
    {
        var started = Time.GetTimestamp();
        var found = await holders.FindAsync(question.Keys, reach.Locations, cancellation);
        var answer = new ResolveAnswer(
            [.. question.Keys.Select(key => HolderSelection.Choose(key, found[key], question.Node, question.Location, Random.Shared))]);
        var hits = answer.Keys.Count(key => key.Holders.Count > 0);
        metrics.Keys(hits, answer.Keys.Count - hits);
        return (question.Fetching is { } fetching ? answer with { Follow = await FollowAsync(question, fetching, answer.Keys[0], started, cancellation) } : answer, "answered");
    }

    /// <summary>Whom the node follows; null where it had better ask the holders, and where it has to ask for it once more.</summary>
    private async Task<FollowAnswer?> FollowAsync(ResolveRequest question, Fetching fetching, ResolvedKey key, long started, CancellationToken cancellation)
    {
        var near = key.Holders.Where(holder => holder.Tier == Tier.SameZone).Select(holder => holder.Node.Name).Take(FollowRequest.MaxHolders).ToList();
        var left = FollowBudget - Time.GetElapsedTime(started);
        if (question.Location != options.Value.Location || (near.Count > 0 && !fetching.IsLarge) || left <= TimeSpan.Zero)
        {
            return null;
        }

        started = Time.GetTimestamp();
        try
        {
            var asked = new FollowRequest(question.Node, question.Location, key.Key.Digest!.Value, [], near, Slow: fetching.IsSlow ? question.Node : null, Order: fetching.Order);
            var answer = await inFlight.FollowAsync(asked, cancellation).WaitAsync(left, Time, cancellation);
            metrics.Followed(Time.GetElapsedTime(started), answer.Parent is null ? "lead" : "follow");
            return answer;
        }
        catch (Exception e) when (e is StoreUnavailableException or TimeoutException)
        {
            metrics.Followed(Time.GetElapsedTime(started), "unavailable");
            return null;
        }
    }

    /// <inheritdoc/>
    protected override void Measure(TimeSpan duration, string outcome) => metrics.Resolved(duration, outcome);
}
