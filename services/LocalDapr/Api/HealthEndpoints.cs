namespace SpegelDapr.LocalDapr.Api;

/// <summary>
/// <c>/v1.0/healthz</c>, ready once the app's subscriptions are in place, and <c>/v1.0/healthz/outbound</c>, ready as soon as the app can call.
/// </summary>
internal sealed class HealthEndpoints(string appId, Task subscribed)
{
    public void Map(IEndpointRouteBuilder endpoints)
    {
        endpoints.MapGet("/v1.0/healthz", HealthAsync);
        endpoints.MapGet("/v1.0/healthz/outbound", context => context.Response.WriteEmptyAsync());
    }

    private Task HealthAsync(HttpContext context)
    {
        if (!subscribed.IsCompletedSuccessfully)
        {
            throw DaprErrors.NotReady("app");
        }

        return context.Request.Query.TryGetValue("appid", out var asked) && asked != appId
            ? throw DaprErrors.OtherAppId()
            : context.Response.WriteEmptyAsync();
    }
}
