using System.Net;

namespace SpegelDapr.LocalDapr.Invocation;

/// <summary>Where an app listens, and the token it wants in <c>dapr-api-token</c>.</summary>
internal sealed record AppAddress(string Host, int Port, string? ApiToken)
{
    public Uri Uri { get; } = new UriBuilder(Uri.UriSchemeHttp, Host, Port).Uri;
}

/// <summary>Sends HTTP requests to an app. Redirects and cookies are the app's business.</summary>
internal sealed class AppChannel(AppAddress address, HttpMessageInvoker http)
{
    /// <summary>The client for all channels of a host.</summary>
    public static HttpMessageInvoker CreateClient() => new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        AutomaticDecompression = DecompressionMethods.None,
        UseCookies = false,
        UseProxy = false,
        ActivityHeadersPropagator = null,
        ConnectTimeout = TimeSpan.FromSeconds(2),
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30),
    });

    /// <summary>Sends the request, whose URI is a path, and returns when the headers of the answer are there.</summary>
    /// <exception cref="HttpRequestException">The app does not answer.</exception>
    public Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellation)
    {
        request.RequestUri = new Uri(address.Uri, request.RequestUri!);
        request.Headers.Remove("dapr-api-token");
        if (address.ApiToken is { } token)
        {
            request.Headers.TryAddWithoutValidation("dapr-api-token", token);
        }

        return http.SendAsync(request, cancellation);
    }
}
