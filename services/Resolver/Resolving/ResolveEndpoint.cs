using System.Text.Json;
using System.Text.Json.Serialization;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Holders;
using SpegelDapr.Resolver.Store;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Resolver.Resolving;

/// <summary>Answers <see cref="ResolveRequest"/>: 200 with a <see cref="ResolveAnswer"/>, 400 for a bad question, 503 while the store is away.</summary>
internal sealed partial class ResolveEndpoint(
    HolderBook holders,
    Reach reach,
    ResolverMetrics metrics,
    TimeProvider time,
    ILogger<ResolveEndpoint> logger)
{
    /// <summary>Enough for the most keys, each of them as long as a tag reference can be.</summary>
    private const int MostBytes = 512 * 1024;

    private readonly LogThrottle _throttle = new(time);

    /// <summary>Maps the method.</summary>
    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapPost("/" + ResolveRequest.Method, HandleAsync);

    private async Task HandleAsync(HttpContext context)
    {
        var started = time.GetTimestamp();
        var outcome = await AnswerAsync(context);
        metrics.Resolved(time.GetElapsedTime(started), outcome);
    }

    private async Task<string> AnswerAsync(HttpContext context)
    {
        if (await BoundedBody.ReadAsync(context.Request, MostBytes) is not { } body)
        {
            await RefuseAsync(context, StatusCodes.Status400BadRequest, $"The question has more than {MostBytes} bytes.");
            return "invalid";
        }

        if (!TryRead(body, out var request, out var problem))
        {
            await RefuseAsync(context, StatusCodes.Status400BadRequest, problem);
            return "invalid";
        }

        try
        {
            var found = await holders.FindAsync(request.Keys, reach.Locations, context.RequestAborted);
            var answer = new ResolveAnswer(
                [.. request.Keys.Select(key => HolderSelection.Choose(key, found[key], request.Node, request.Location, Random.Shared))]);
            var hits = answer.Keys.Count(key => key.Holders.Count > 0);
            metrics.Keys(hits, answer.Keys.Count - hits);
            await context.Response.WriteAsJsonAsync(answer, ContractsJson.Default.ResolveAnswer, cancellationToken: context.RequestAborted);
            return "answered";
        }
        catch (StoreUnavailableException e)
        {
            if (_throttle.IsOpen())
            {
                Log.Unavailable(logger, e.Message);
            }

            await RefuseAsync(context, StatusCodes.Status503ServiceUnavailable, e.Message);
            return "unavailable";
        }
    }

    private static bool TryRead(
        byte[] body,
        [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out ResolveRequest? request,
        out string problem)
    {
        request = null;
        try
        {
            request = JsonSerializer.Deserialize(body, ContractsJson.Default.ResolveRequest);
            problem = request switch
            {
                null => "The question is null.",
                { Keys.Count: > ResolveRequest.MaxKeys } => $"The question has {request.Keys.Count} keys: ask for at most {ResolveRequest.MaxKeys} at once.",
                _ => "",
            };
        }
        catch (JsonException e)
        {
            problem = $"The question is not well formed: {e.Message}";
        }

        return problem.Length == 0;
    }

    private static Task RefuseAsync(HttpContext context, int status, string detail)
    {
        context.Response.StatusCode = status;
        return context.Response.WriteAsJsonAsync(
            new Problem(status, detail.ReplaceLineEndings(" ")), ProblemJson.Default.Problem, "application/problem+json", context.RequestAborted);
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "Questions cannot be answered: {Reason}")]
        public static partial void Unavailable(ILogger logger, string reason);
    }
}

/// <summary>Why a question was refused (RFC 9457).</summary>
internal sealed record Problem(int Status, string Detail);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(Problem))]
internal sealed partial class ProblemJson : JsonSerializerContext;
