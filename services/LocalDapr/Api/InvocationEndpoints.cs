using System.Collections.Frozen;
using System.Text;
using SpegelDapr.LocalDapr.Invocation;

namespace SpegelDapr.LocalDapr.Api;

/// <summary>
/// Service invocation over HTTP: <c>/v1.0/invoke/{app}/method/{path}</c>, or any path of an app named by the header <c>dapr-app-id</c> or by
/// basic authentication as the user of that name (dapr/pkg/api/http/directmessaging.go). Bodies are streamed both ways.
/// </summary>
internal sealed class InvocationEndpoints(Invoker invoker)
{
    private const string AppIdName = "dapr-app-id";
    private const string InvokePath = "/v1.0/invoke/";
    private const string MethodPath = "/method/";

    private static readonly FrozenSet<string> NotForwarded = FrozenSet.Create(
        StringComparer.OrdinalIgnoreCase,
        "Connection", "Host", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade", AppIdName, "dapr-api-token");

    /// <summary>Answers what no other endpoint does.</summary>
    public async Task InvokeAsync(HttpContext context)
    {
        var (appId, path) = Target(context.Request);
        using var request = new HttpRequestMessage(
            new HttpMethod(context.Request.Method), new Uri(path + context.Request.QueryString, UriKind.Relative));
        if (HasBody(context.Request))
        {
            request.Content = new StreamContent(context.Request.Body);
        }

        foreach (var (name, values) in context.Request.Headers)
        {
            if (!NotForwarded.Contains(name) && !request.Headers.TryAddWithoutValidation(name, (IEnumerable<string?>)values))
            {
                request.Content?.Headers.TryAddWithoutValidation(name, (IEnumerable<string?>)values);
            }
        }

        using var answer = await invoker.InvokeAsync(appId, request, context.RequestAborted);
        context.Response.StatusCode = (int)answer.StatusCode;
        foreach (var (name, values) in answer.Headers.NonValidated.Concat(answer.Content.Headers.NonValidated))
        {
            if (!NotForwarded.Contains(name))
            {
                context.Response.Headers.Append(name, values.ToArray());
            }
        }

        if (!HttpMethods.IsHead(context.Request.Method) && context.Response.StatusCode is not (204 or 304))
        {
            await answer.Content.CopyToAsync(context.Response.Body, context.RequestAborted);
        }
    }

    private static bool HasBody(HttpRequest request) => request.ContentLength > 0 || request.Headers.TransferEncoding.Count > 0;

    private static (string AppId, string Path) Target(HttpRequest request)
    {
        var path = request.Path.ToUriComponent();
        if (request.Headers[AppIdName].FirstOrDefault() is { Length: > 0 } named)
        {
            return (named, path);
        }

        if (FromBasicAuthentication(request) is { } user)
        {
            return (user, path);
        }

        if (path.StartsWith(InvokePath, StringComparison.Ordinal) && path.IndexOf(MethodPath, StringComparison.Ordinal) is var at && at > InvokePath.Length)
        {
            return (Uri.UnescapeDataString(path[InvokePath.Length..at]), path[(at + MethodPath.Length - 1)..]);
        }

        throw path.StartsWith(InvokePath, StringComparison.Ordinal) || !path.StartsWith("/v1.0", StringComparison.Ordinal)
            ? DaprErrors.NoAppId()
            : DaprErrors.NoSuchMethod(path);
    }

    private static string? FromBasicAuthentication(HttpRequest request)
    {
        var header = request.Headers.Authorization.ToString();
        if (!header.StartsWith("Basic ", StringComparison.Ordinal))
        {
            return null;
        }

        var bytes = new byte[header.Length];
        return Convert.TryFromBase64String(header["Basic ".Length..], bytes, out var length)
            && Encoding.UTF8.GetString(bytes, 0, length).Split(':') is [var name, var appId]
            && name.Equals(AppIdName, StringComparison.OrdinalIgnoreCase)
                ? appId
                : null;
    }
}
