using System.Collections.Concurrent;
using SpegelDapr.LocalDapr.Api;

namespace SpegelDapr.LocalDapr.Invocation;

/// <summary>
/// Service invocation. Dapr sends a call by the target's sidecar; here it goes to the app at once, with what the target's sidecar would add
/// to it. Each sidecar takes an app's instances in turn, also one that hangs, as Dapr does (dapr/pkg/api/grpc/manager/manager.go: round_robin).
/// </summary>
internal sealed class Invoker(AppSpec app, AppDirectory directory, HttpMessageInvoker http)
{
    private readonly ConcurrentDictionary<string, uint> _turns = new();

    /// <summary>Sends the request, whose URI is the method's path, to an instance of the app.</summary>
    /// <exception cref="DaprException">There is none, or it does not answer.</exception>
    public async Task<HttpResponseMessage> InvokeAsync(string appId, HttpRequestMessage request, CancellationToken cancellation)
    {
        var addresses = directory.Find(appId, app);
        if (addresses.IsEmpty)
        {
            throw DaprErrors.Invoke(appId, $"couldn't find service: {appId}");
        }

        var turn = _turns.AddOrUpdate(appId, 0, (_, last) => unchecked(last + 1));
        var address = addresses[(int)(turn % (uint)addresses.Length)];
        foreach (var (name, value) in IdentityHeaders(appId))
        {
            request.Headers.Remove(name);
            request.Headers.TryAddWithoutValidation(name, value);
        }

        try
        {
            return await new AppChannel(address, http).SendAsync(request, cancellation);
        }
        catch (HttpRequestException e)
        {
            throw DaprErrors.Invoke(appId, $"rpc error: code = Internal desc = error invoking app channel: {e.Message}");
        }
    }

    private IEnumerable<(string Name, string Value)> IdentityHeaders(string appId) =>
    [
        ("dapr-caller-app-id", app.AppId),
        ("dapr-caller-namespace", app.Namespace ?? AppSpec.DefaultNamespace),
        ("dapr-callee-app-id", appId),
    ];
}
