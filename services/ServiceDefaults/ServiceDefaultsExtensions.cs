using Dapr.Client;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Configuration.Memory;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;

namespace SpegelDapr.ServiceDefaults;

/// <summary>What every service has: logging, metrics, health, a Dapr client and a time provider.</summary>
public static class ServiceDefaultsExtensions
{
    /// <summary>Health checks with this tag decide readiness.</summary>
    public const string ReadyTag = "ready";

    /// <summary>
    /// Adds the defaults and the listeners: <paramref name="serviceUrlKey"/> is the setting of the service's own listener, if it has one, and
    /// <c>Telemetry:Url</c> that of <c>/metrics</c>, <c>/healthz</c> and <c>/readyz</c>, which answers nothing else.
    /// </summary>
    public static WebApplicationBuilder AddServiceDefaults(this WebApplicationBuilder builder, string? serviceUrlKey = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ((IConfigurationBuilder)builder.Configuration).Sources.Insert(0, new MemoryConfigurationSource { InitialData = DefaultLogLevels });
        string[] urlKeys = serviceUrlKey is null ? [TelemetryUrlKey] : [serviceUrlKey, TelemetryUrlKey];
        builder.WebHost.UseUrls([.. urlKeys.Select(key => ListenUrl.Read(builder.Configuration, key).ToString())]);
        builder.WebHost.ConfigureKestrel(LimitRequests);
        builder.Logging.ClearProviders().AddServiceConsole();
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(10));
        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.Services.AddDaprClient((DaprClientBuilder dapr) => dapr.UseGrpcChannelOptions(SidecarChannelOptions()));
        builder.Services.AddHealthChecks();
        builder.Services.AddOpenTelemetry().WithMetrics(metrics => metrics
            .AddMeter("SpegelDapr.*")
            .AddRuntimeInstrumentation()
            .AddPrometheusExporter());
        return builder;
    }

    /// <summary>
    /// Answers the telemetry listener. It is told apart by the local port, not by the Host header, which whoever asks may choose. Call it
    /// before anything else is mapped.
    /// </summary>
    public static WebApplication UseTelemetry(this WebApplication app)
    {
        ArgumentNullException.ThrowIfNull(app);
        var port = ListenUrl.Read(app.Configuration, TelemetryUrlKey).Port;
        app.MapWhen(
            context => context.Connection.LocalPort == port,
            telemetry => telemetry
                .Use(TakeNoBodyAsync)
                .UseRouting()
                .UseEndpoints(endpoints =>
                {
                    endpoints.MapPrometheusScrapingEndpoint("/metrics");
                    endpoints.MapHealthChecks("/healthz", new HealthCheckOptions { Predicate = _ => false });
                    endpoints.MapHealthChecks("/readyz", new HealthCheckOptions { Predicate = check => check.Tags.Contains(ReadyTag), ResponseWriter = WriteAsync });
                }));
        return app;
    }

    /// <summary>
    /// How a gRPC channel to the sidecar behaves. One that is back is noticed within a second; by default up to two minutes pass between
    /// attempts to connect.
    /// </summary>
    public static GrpcChannelOptions SidecarChannelOptions() => new()
    {
        ThrowOperationCanceledOnCancellation = true,
        InitialReconnectBackoff = TimeSpan.FromMilliseconds(100),
        MaxReconnectBackoff = TimeSpan.FromSeconds(1),
    };

    internal static ILoggingBuilder AddServiceConsole(this ILoggingBuilder logging) => logging.AddSimpleConsole(console =>
    {
        console.SingleLine = true;
        console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";
        console.UseUtcTimestamp = true;
    });

    /// <summary>The state in the first line, and a line for each check that has something to say.</summary>
    private static Task WriteAsync(HttpContext context, HealthReport report)
    {
        var said = report.Entries.Where(entry => entry.Value.Description is not null).Select(entry => $"{entry.Key}: {entry.Value.Description!.ReplaceLineEndings(" ")}");
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(string.Join('\n', said.Prepend($"{report.Status}")) + "\n", context.RequestAborted);
    }

    /// <summary>Otherwise Kestrel would read up to 30 MB that nobody looks at.</summary>
    private static Task TakeNoBodyAsync(HttpContext context, RequestDelegate next)
    {
        context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>().MaxRequestBodySize = 0;
        return next(context);
    }

    /// <summary>Headers are short and come at once, on each listener: in a cluster that of telemetry is reached by the network too.</summary>
    private static void LimitRequests(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        kestrel.ConfigureEndpointDefaults(listener => listener.Protocols = HttpProtocols.Http1);
        kestrel.Limits.MaxRequestHeadersTotalSize = 16 * 1024;
        kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
    }

    private const string TelemetryUrlKey = "Telemetry:Url";

    /// <summary>
    /// A line for each request is written where an operator asks for it (<c>Logging__LogLevel__Microsoft.AspNetCore=Information</c>), and one for each probe of what
    /// is not ready: what a check waits for is logged where it is waited for, once.
    /// </summary>
    private static readonly Dictionary<string, string?> DefaultLogLevels = new()
    {
        ["Logging:LogLevel:Default"] = "Information",
        ["Logging:LogLevel:Microsoft.AspNetCore"] = "Warning",
        ["Logging:LogLevel:Microsoft.Extensions.Diagnostics.HealthChecks"] = "None",
        ["Logging:LogLevel:Polly"] = "Warning",
        ["Logging:LogLevel:System.Net.Http"] = "Warning",
    };
}
