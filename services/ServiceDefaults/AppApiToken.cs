using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace SpegelDapr.ServiceDefaults;

/// <summary>
/// The token by which a sidecar proves to its app that it is the sidecar: Dapr sends the value of <c>APP_API_TOKEN</c> in the header
/// <c>dapr-api-token</c> (Dapr's documentation, operations/security/app-api-token).
/// </summary>
public static class AppApiToken
{
    private const string Setting = "APP_API_TOKEN";
    private const string Header = "dapr-api-token";

    /// <summary>Answers 401 to requests without the token, when one is set. Call it after <c>UseTelemetry</c>, which needs none.</summary>
    public static WebApplication UseAppApiToken(this WebApplication app)
    {
        ArgumentNullException.ThrowIfNull(app);
        if (app.Configuration[Setting] is not { Length: > 0 } token)
        {
            return app;
        }

        var expected = Encoding.UTF8.GetBytes(token);
        app.Use(async (context, next) =>
        {
            if (CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(context.Request.Headers[Header].ToString()), expected))
            {
                await next(context);
            }
            else
            {
                context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            }
        });
        return app;
    }
}
