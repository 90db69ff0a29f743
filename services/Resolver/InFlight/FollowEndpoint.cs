using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;

namespace SpegelDapr.Resolver.InFlight;

/// <summary>Answers <see cref="FollowRequest"/>: 200 with a <see cref="FollowAnswer"/>, 400 for a bad question, 503 while the store is away.</summary>
internal sealed class FollowEndpoint(
    InFlightBook inFlight,
    IOptions<ResolverOptions> options,
    ResolverMetrics metrics,
    TimeProvider time,
    ILogger<FollowEndpoint> logger)
    : QuestionEndpoint<FollowRequest, FollowAnswer>(ContractsJson.Default.FollowRequest, ContractsJson.Default.FollowAnswer, MostBytes, time, logger)
{
    /// <summary>Enough for the most nodes, each with as long a name as there can be.</summary>
    private const int MostBytes = 16 * 1024;

    private readonly Location _here = options.Value.Location;

    /// <summary>Maps the method.</summary>
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapPost("/" + FollowRequest.Method, HandleAsync);

    /// <inheritdoc/>
    protected override string? ProblemOf(FollowRequest question) => question switch
    {
        { Failed.Count: > FollowRequest.MaxFailed } =>
            $"The question has {question.Failed.Count} failed nodes: name at most {FollowRequest.MaxFailed}, the latest.",
        { Declined.Count: > FollowRequest.MaxFailed } =>
            $"The question has {question.Declined.Count} nodes that have declined: name at most {FollowRequest.MaxFailed}, the latest.",
        { Holders.Count: > FollowRequest.MaxHolders } =>
            $"The question has {question.Holders.Count} holders: name at most {FollowRequest.MaxHolders}.",
        { OnlyTells: true, Slow: null } => "What it only tells is which node is slow: name that one.",
        _ when question.Location != _here => $"The question is from {question.Location}, but this resolver is that of {_here}: ask the node's own.",
        _ => null,
    };

    /// <inheritdoc/>
    protected override async Task<(FollowAnswer Answer, string Outcome)> AnswerAsync(FollowRequest question, CancellationToken cancellation)
    {
        var answer = await inFlight.FollowAsync(question, cancellation);
        return (answer, question.OnlyTells ? "told" : answer.Parent is null ? "lead" : "follow");
    }

    /// <inheritdoc/>
    protected override void Measure(TimeSpan duration, string outcome) => metrics.Followed(duration, outcome);
}
