using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Holders;

namespace SpegelDapr.Resolver.Resolving;

/// <summary>Answers <see cref="ResolveRequest"/>: 200 with a <see cref="ResolveAnswer"/>, 400 for a bad question, 503 while the store is away.</summary>
internal sealed class ResolveEndpoint(
    HolderBook holders,
    Reach reach,
    ResolverMetrics metrics,
    TimeProvider time,
    ILogger<ResolveEndpoint> logger)
    : QuestionEndpoint<ResolveRequest, ResolveAnswer>(ContractsJson.Default.ResolveRequest, ContractsJson.Default.ResolveAnswer, MostBytes, time, logger)
{
    /// <summary>Enough for the most keys, each of them as long as a tag reference can be.</summary>
    private const int MostBytes = 512 * 1024;

    /// <summary>Maps the method.</summary>
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapPost("/" + ResolveRequest.Method, HandleAsync);

    /// <inheritdoc/>
    protected override string? ProblemOf(ResolveRequest question) => question.Keys.Count > ResolveRequest.MaxKeys
        ? $"The question has {question.Keys.Count} keys: ask for at most {ResolveRequest.MaxKeys} at once."
        : null;

    /// <inheritdoc/>
    protected override async Task<(ResolveAnswer Answer, string Outcome)> AnswerAsync(ResolveRequest question, CancellationToken cancellation)
    {
        var found = await holders.FindAsync(question.Keys, reach.Locations, cancellation);
        var answer = new ResolveAnswer(
            [.. question.Keys.Select(key => HolderSelection.Choose(key, found[key], question.Node, question.Location, Random.Shared))]);
        var hits = answer.Keys.Count(key => key.Holders.Count > 0);
        metrics.Keys(hits, answer.Keys.Count - hits);
        return (answer, "answered");
    }

    /// <inheritdoc/>
    protected override void Measure(TimeSpan duration, string outcome) => metrics.Resolved(duration, outcome);
}
