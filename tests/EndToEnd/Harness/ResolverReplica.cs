using System.Globalization;
using SpegelDapr.Contracts;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A replica of a zone's resolver, behind its sidecar.</summary>
internal sealed class ResolverReplica : IAsyncDisposable
{
    public ResolverReplica(int number, Location location, Machine machine, Cluster cluster)
    {
        var appId = DaprNames.Resolver(location.Zone);
        var name = number == 1 ? appId : $"{appId}-{number}";
        var app = machine.NextPort();
        var telemetry = machine.NextPort();
        var daprHttp = machine.NextPort();
        var daprGrpc = machine.NextPort();

        // LocalDapr's sidecars call apps of other machines at the app itself, not by its sidecar, so this one listens to the network.
        App = new Uri($"http://{machine.Address}:{app}/");
        Telemetry = new Uri($"http://127.0.0.1:{telemetry}/");
        Sidecar = cluster.Sidecar($"{name}-sidecar", appId, machine, app, daprHttp, daprGrpc, machine.Address);
        Process = ServiceProcess.Of(
            name,
            cluster.Directory.Path,
            "SpegelDapr.Resolver",
            [],
            new Dictionary<string, string>(cluster.Settings)
            {
                ["App__Url"] = $"http://{machine.Address}:{app}",
                ["Telemetry__Url"] = $"http://127.0.0.1:{telemetry}",
                ["Resolver__Region"] = location.Region,
                ["Resolver__Zone"] = location.Zone,
                ["Resolver__LeaseDuration"] = Cluster.LeaseDuration.ToString(),
                ["Kubernetes__Enabled"] = "false",
                ["DAPR_HTTP_PORT"] = daprHttp.ToString(CultureInfo.InvariantCulture),
                ["DAPR_GRPC_PORT"] = daprGrpc.ToString(CultureInfo.InvariantCulture),
            },
            machine);
    }

    /// <summary>Its listener for its sidecar.</summary>
    public Uri App { get; }

    /// <summary>Its metrics.</summary>
    public Uri Telemetry { get; }

    public ServiceProcess Process { get; }

    public ServiceProcess Sidecar { get; }

    public async ValueTask DisposeAsync()
    {
        await Process.DisposeAsync();
        await Sidecar.DisposeAsync();
    }
}
