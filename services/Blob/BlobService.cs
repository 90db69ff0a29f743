using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration.Memory;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Http;
using SpegelDapr.Blob.Local;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Blob.Planning;
using SpegelDapr.Blob.Recording;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Blob.Transfers;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob;

/// <summary>The node-local OCI mirror that containerd pulls through: from local content, or else from other nodes.</summary>
public static class BlobService
{
    /// <summary>
    /// The most bytes that wait for a client's socket, per request: two chunks, so that reading and hashing the next one overlaps with
    /// sending the one before.
    /// </summary>
    private const int ResponseBufferBytes = 2 * ContentSender.ChunkBytes;

    private static readonly Dictionary<string, string?> DefaultUrls = new()
    {
        [$"{BlobOptions.Section}:{nameof(BlobOptions.Url)}"] = "http://*:5000",
        ["Telemetry:Url"] = "http://127.0.0.1:9092",
    };

    /// <summary>
    /// Builds the service. Settings come from appsettings.json, the environment and <paramref name="args"/>;
    /// <paramref name="configure"/> may add more before any is read.
    /// </summary>
    public static WebApplication Create(string[] args, Action<WebApplicationBuilder>? configure = null)
    {
        // Settings are read once, so nothing need watch the files below the working directory for changes.
        var builder = WebApplication.CreateSlimBuilder(["--hostBuilder:reloadConfigOnChange=false", .. args]);
        ((IConfigurationBuilder)builder.Configuration).Sources.Insert(0, new MemoryConfigurationSource { InitialData = DefaultUrls });
        configure?.Invoke(builder);
        builder.AddServiceDefaults($"{BlobOptions.Section}:{nameof(BlobOptions.Url)}");
        builder.WebHost.ConfigureKestrel(LimitRequests);

        // What was being sent is cut, and what waits for slow clients by then is still sent. A pod has 30 s.
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(25));

        // Kestrel calls each answer that MirrorEndpoint cuts short an unhandled exception; that it was cut, and why, is logged there.
        builder.Logging.AddFilter("Microsoft.AspNetCore.Server.Kestrel", LogLevel.Critical);

        builder.Services.AddOptions<NodeOptions>().BindConfiguration(NodeOptions.Section).ValidateProblemsOnStart();
        builder.Services.AddOptions<BlobOptions>().BindConfiguration(BlobOptions.Section).ValidateProblemsOnStart();
        builder.Services.AddOptions<ZoneOptions>().BindConfiguration(ZoneOptions.Section).ValidateProblemsOnStart();
        builder.Services.AddRegistryFilter();
        builder.Services.AddSingleton<BlobMetrics>();
        builder.Services.AddSingleton<ContentVerifier>();
        builder.Services.AddSingleton<LocalContent>();
        builder.Services.AddSingleton<ResolverClient>();
        builder.Services.AddHostedService<WarmUp>();
        builder.Services.AddSingleton<HolderLookup>();
        builder.Services.AddSingleton<Prefetch>();
        builder.Services.AddSingleton<PeerClient>();
        builder.Services.AddSingleton<PeerHealth>();
        builder.Services.AddSingleton<HedgedStart>();
        builder.Services.AddSingleton<Feeds>();
        builder.Services.AddSingleton<Ingests>();
        builder.Services.AddSingleton<FastestRate>();
        builder.Services.AddSingleton<Following>();
        builder.Services.AddSingleton<Referrals>();
        builder.Services.AddSingleton<PeerTransfers>();
        builder.Services.AddSingleton<ManifestMemory>();
        builder.Services.AddSingleton<PeerLoads>();
        builder.Services.AddSingleton<Routes>();
        builder.Services.AddSingleton<UpstreamDecisions>();
        builder.Services.AddSingleton<PullPlanner>();
        builder.Services.AddSingleton<UpstreamWatch>();
        builder.Services.AddHostedService(services => services.GetRequiredService<UpstreamWatch>());
        builder.Services.AddSingleton<OwnAddresses>();
        builder.Services.AddSingleton<StrangerShares>();
        builder.Services.AddSingleton<PeerGuard>();
        builder.Services.AddSingleton<ExplainEndpoint>();
        builder.Services.AddSingleton<TransferSlots>();
        builder.Services.AddSingleton<PeersFed>();
        builder.Services.AddSingleton<ReferrerIndex>();
        builder.Services.AddSingleton<ReferrersAnswer>();
        builder.Services.AddSingleton<ContentSender>();
        builder.Services.AddSingleton<NodeEndpoint>();
        builder.Services.AddSingleton<PeerEndpoint>();
        builder.Services.AddSingleton<FlightRecorder>();
        builder.Services.AddSingleton<TransfersEndpoint>();
        builder.Services.AddSingleton<MirrorEndpoint>();
        builder.Services.AddHostedService<MirrorAddressWatch>();
        builder.Services.AddSingleton<ContentReadableCheck>();
        builder.Services.AddHealthChecks().AddCheck<ContentReadableCheck>("content", tags: [ServiceDefaultsExtensions.ReadyTag]);

        var app = builder.Build();
        app.UseTelemetry();
        app.Use(app.Services.GetRequiredService<PeerGuard>().HandleAsync);
        app.MapWhen(
            context => context.Request.Path == Explanation.Path,
            explain => explain.Run(app.Services.GetRequiredService<ExplainEndpoint>().HandleAsync));
        app.MapWhen(
            context => context.Request.Path == RecordedTransfers.Path,
            transfers => transfers.Run(app.Services.GetRequiredService<TransfersEndpoint>().HandleAsync));
        app.Run(app.Services.GetRequiredService<MirrorEndpoint>().HandleAsync);
        return app;
    }

    /// <summary>
    /// Requests have no body. A client that never reads is given up by <see cref="ResponseSender"/>: Kestrel's own lowest rate counts what has been written
    /// for minutes after.
    /// </summary>
    private static void LimitRequests(KestrelServerOptions kestrel)
    {
        kestrel.Limits.MaxRequestBodySize = 0;
        kestrel.Limits.MaxResponseBufferSize = ResponseBufferBytes;
    }
}
