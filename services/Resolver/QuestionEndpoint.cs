using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using SpegelDapr.Resolver.Store;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Resolver;

/// <summary>
/// Answers questions that are posted as JSON: 200 with the answer, 400 for a bad question, 503 while the store is away, the latter two with a
/// <see cref="Problem"/>.
/// </summary>
/// <param name="questionType">The question's JSON.</param>
/// <param name="answerType">The answer's.</param>
/// <param name="mostBytes">The most bytes of a question.</param>
/// <param name="time">Measures.</param>
/// <param name="logger">Hears of a store that is away.</param>
internal abstract partial class QuestionEndpoint<TQuestion, TAnswer>(
    JsonTypeInfo<TQuestion> questionType,
    JsonTypeInfo<TAnswer> answerType,
    int mostBytes,
    TimeProvider time,
    ILogger logger)
    where TQuestion : class
{
    private readonly LogThrottle _throttle = new(time);

    /// <summary>Measures.</summary>
    protected TimeProvider Time => time;

    /// <summary>What is wrong with a question that is well formed, in one line; null when nothing is.</summary>
    protected abstract string? ProblemOf(TQuestion question);

    /// <summary>Answers a good question.</summary>
    /// <returns>The answer, and its outcome for <see cref="Measure"/>.</returns>
    /// <exception cref="StoreUnavailableException">The store does not answer.</exception>
    protected abstract Task<(TAnswer Answer, string Outcome)> AnswerAsync(TQuestion question, CancellationToken cancellation);

    /// <summary>Takes note of a question; its outcome is the answer's, <c>invalid</c> or <c>unavailable</c>.</summary>
    protected abstract void Measure(TimeSpan duration, string outcome);

    /// <summary>Answers or refuses a request.</summary>
    protected async Task HandleAsync(HttpContext context)
    {
        var started = time.GetTimestamp();
        var outcome = await AnswerAsync(context);
        Measure(time.GetElapsedTime(started), outcome);
    }

    private async Task<string> AnswerAsync(HttpContext context)
    {
        if (await BoundedBody.ReadAsync(context.Request, mostBytes) is not { } body)
        {
            await context.RefuseAsync(StatusCodes.Status400BadRequest, $"The question has more than {mostBytes} bytes.");
            return "invalid";
        }

        if (!TryRead(body, out var question, out var problem))
        {
            await context.RefuseAsync(StatusCodes.Status400BadRequest, problem);
            return "invalid";
        }

        try
        {
            var (answer, outcome) = await AnswerAsync(question, context.RequestAborted);
            await context.Response.WriteAsJsonAsync(answer, answerType, cancellationToken: context.RequestAborted);
            return outcome;
        }
        catch (StoreUnavailableException e)
        {
            if (_throttle.IsOpen())
            {
                Log.Unavailable(logger, e.Message);
            }

            await context.RefuseAsync(StatusCodes.Status503ServiceUnavailable, e.Message);
            return "unavailable";
        }
    }

    private bool TryRead(byte[] body, [NotNullWhen(true)] out TQuestion? question, [NotNullWhen(false)] out string? problem)
    {
        question = null;
        try
        {
            question = JsonSerializer.Deserialize(body, questionType);
            problem = question is null ? "The question is null." : ProblemOf(question);
        }
        catch (JsonException e)
        {
            problem = $"The question is not well formed: {e.Message}";
        }

        return problem is null;
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "Questions cannot be answered: {Reason}")]
        public static partial void Unavailable(ILogger logger, string reason);
    }
}
