using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver;

/// <summary>Why a question was refused (RFC 9457).</summary>
internal sealed record Problem(int Status, string Detail);

/// <summary>How questions are answered and refused.</summary>
internal static class Answers
{
    /// <summary>Refuses with a problem of one line.</summary>
    public static Task RefuseAsync(this HttpContext context, int status, string detail)
    {
        context.Response.StatusCode = status;
        return context.Response.WriteAsJsonAsync(
            new Problem(status, detail.ReplaceLineEndings(" ")), ProblemJson.Default.Problem, "application/problem+json", context.RequestAborted);
    }

    /// <summary>Answers with what is found, with 404 when the route names nothing that there can be, and with 503 while the store is away.</summary>
    public static async Task AnswerAsync<T>(this HttpContext context, Task<T>? found, JsonTypeInfo<T> type)
    {
        if (found is null)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        try
        {
            await context.Response.WriteAsJsonAsync(await found, type, cancellationToken: context.RequestAborted);
        }
        catch (StoreUnavailableException e)
        {
            // Logged where questions for keys meet it, which come all the time.
            await context.RefuseAsync(StatusCodes.Status503ServiceUnavailable, e.Message);
        }
    }
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(Problem))]
internal sealed partial class ProblemJson : JsonSerializerContext;
