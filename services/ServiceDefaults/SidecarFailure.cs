using Dapr;
using Grpc.Core;
using Microsoft.Extensions.Configuration;
using SpegelDapr.ServiceDefaults.Kubernetes;

namespace SpegelDapr.ServiceDefaults;

/// <summary>Says why a call to the sidecar has failed, for the log and for the body of <c>/readyz</c>.</summary>
public static class SidecarFailure
{
    /// <summary>One line; when no sidecar has answered, with what to do.</summary>
    /// <param name="failure">What <c>DaprClient</c> has thrown.</param>
    /// <param name="configuration">Says where the sidecar should be.</param>
    public static string Describe(Exception failure, IConfiguration configuration)
    {
        ArgumentNullException.ThrowIfNull(failure);
        var reason = failure is DaprException ? failure.InnerException ?? failure : failure;

        // A connection that cannot be made, or a question without an answer; a sidecar whose broker or store is away says so itself.
        if (reason is not (OperationCanceledException or RpcException { StatusCode: StatusCode.Unavailable, Status.DebugException: not null }))
        {
            return reason.Message.ReplaceLineEndings(" ");
        }

        var endpoint = new Uri(DaprDefaults.GetDefaultGrpcEndpoint(configuration)).Authority;
        return KubernetesOptions.IsInPod
            ? $"no Dapr sidecar answers at {endpoint}: if this pod has no container daprd, Dapr's injector was away when it was made, so delete the pod"
            : $"no Dapr sidecar answers at {endpoint}: start it, or give its port as DAPR_GRPC_PORT";
    }
}
