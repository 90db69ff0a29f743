using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;
using SpegelDapr.Resolver.Subscribing;

namespace SpegelDapr.Resolver.Hearing;

/// <summary>Answers <see cref="HearingRequest"/>: 200 with a <see cref="HearingAnswer"/>, 400 for a bad question, 503 while the store is away.</summary>
internal sealed class HearingEndpoint(
    LeaseBook leases,
    SilenceWatch silence,
    IOptions<ResolverOptions> options,
    ResolverMetrics metrics,
    TimeProvider time,
    ILogger<HearingEndpoint> logger)
    : QuestionEndpoint<HearingRequest, HearingAnswer>(
        ContractsJson.Default.HearingRequest, ContractsJson.Default.HearingAnswer, MostBytes, time, logger)
{
    /// <summary>Enough for the longest names.</summary>
    private const int MostBytes = 2 * 1024;

    /// <summary>How long events that a heartbeat has overtaken are waited for. A node that is told to wait asks again a bit later.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(1.5);

    private readonly Location _here = options.Value.Location;
    private readonly TimeProvider _time = time;

    /// <summary>Maps the method.</summary>
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapPost("/" + HearingRequest.Method, HandleAsync);

    /// <summary>What has been heard of the node.</summary>
    /// <exception cref="StoreUnavailableException">The store does not answer.</exception>
    public async Task<Heard> CompareAsync(HearingRequest question, CancellationToken cancellation)
    {
        var began = _time.GetTimestamp();
        var heard = await CompareAsync(question, since: null, cancellation);

        // A lease that was remembered before may lack what another replica has applied since, and a snapshot is not to be sent for that.
        return heard == Heard.Matches ? heard : await CompareAsync(question, began, cancellation);
    }

    /// <inheritdoc/>
    protected override string? ProblemOf(HearingRequest question) => question.Location == _here
        ? null
        : $"The question is from {question.Location}, but this resolver is that of {_here}: ask the node's own.";

    /// <inheritdoc/>
    protected override async Task<(HearingAnswer Answer, string Outcome)> AnswerAsync(HearingRequest question, CancellationToken cancellation)
    {
        silence.Asked(question.Node);
        var heard = await CompareAsync(question, cancellation);
        return (new HearingAnswer(heard), heard.Name());
    }

    /// <inheritdoc/>
    protected override void Measure(TimeSpan duration, string outcome) => metrics.Compared(outcome);

    private async Task<Heard> CompareAsync(HearingRequest question, long? since, CancellationToken cancellation)
    {
        var node = new LeaseHolder(question.Location, question.Node);
        var lease = (await leases.RecallAsync([node], cancellation, since)).GetValueOrDefault(node);
        return lease?.Compare(question.Epoch, question.Sequence, question.Summary, _time.GetUtcNow(), Grace) ?? Heard.Unknown;
    }
}
