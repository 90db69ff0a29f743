using System.Security.Cryptography;
using System.Text;

namespace SpegelDapr.LocalDapr.Api;

/// <summary>Goes before every request of the HTTP API: the API token, the size of bodies that state their length, and Dapr's form of errors.</summary>
internal sealed class ApiGuard(string? token)
{
    /// <summary>The largest body of a request, and of a gRPC message either way: daprd's default (dapr/pkg/runtime/config.go).</summary>
    public const int MostBodyBytes = 4 * 1024 * 1024;

    /// <summary>The header of the API token.</summary>
    public const string TokenHeader = "dapr-api-token";

    public async Task InvokeAsync(HttpContext context, RequestDelegate next)
    {
        if (!Admits(context.Request.Headers[TokenHeader]) && !IsHealth(context.Request))
        {
            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            context.Response.ContentType = "text/plain; charset=utf-8";
            await context.Response.WriteAsync("invalid api token\n", context.RequestAborted);
            return;
        }

        try
        {
            if (context.Request.ContentLength > MostBodyBytes)
            {
                throw DaprErrors.TooLarge(context.Request.Path);
            }

            await next(context);
        }
        catch (DaprException e) when (!context.Response.HasStarted)
        {
            await context.Response.WriteJsonAsync(e.ToJson(), e.HttpStatus);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The caller has gone.
        }
    }

    /// <summary>Whether a caller with this token is let in.</summary>
    public bool Admits(string? given) =>
        token is null || (given is not null && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(given), Encoding.UTF8.GetBytes(token)));

    private static bool IsHealth(HttpRequest request) =>
        HttpMethods.IsGet(request.Method) && request.Path.Value?.Trim('/') is "v1.0/healthz" or "v1.0/healthz/outbound";
}
