using Microsoft.Extensions.Configuration.Memory;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using SpegelDapr.Resolver.Events;
using SpegelDapr.Resolver.Hearing;
using SpegelDapr.Resolver.Holders;
using SpegelDapr.Resolver.InFlight;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Nodes;
using SpegelDapr.Resolver.Resolving;
using SpegelDapr.Resolver.Store;
using SpegelDapr.Resolver.Subscribing;
using SpegelDapr.ServiceDefaults;
using SpegelDapr.ServiceDefaults.Kubernetes;

namespace SpegelDapr.Resolver;

/// <summary>Hears which node holds what, keeps it in a state store that its replicas share, and answers who holds a key.</summary>
public static class ResolverService
{
    private const string UrlKey = "App:Url";

    private static readonly Dictionary<string, string?> DefaultUrls = new()
    {
        [UrlKey] = "http://127.0.0.1:5020",
        ["Telemetry:Url"] = "http://127.0.0.1:9093",
    };

    /// <summary>
    /// Builds the service. Settings come from appsettings.json, the environment and <paramref name="args"/>;
    /// <paramref name="configure"/> may add more before any is read.
    /// </summary>
    public static WebApplication Create(string[] args, Action<WebApplicationBuilder>? configure = null)
    {
        var builder = WebApplication.CreateSlimBuilder(args);
        ((IConfigurationBuilder)builder.Configuration).Sources.Insert(0, new MemoryConfigurationSource { InitialData = DefaultUrls });
        configure?.Invoke(builder);
        builder.AddServiceDefaults(UrlKey);

        builder.Services.AddOptions<ResolverOptions>().BindConfiguration(ResolverOptions.Section).ValidateProblemsOnStart();
        builder.Services.AddOptions<ZoneOptions>().BindConfiguration(ZoneOptions.Section).ValidateProblemsOnStart();
        builder.Services.AddSingleton<Reach>();
        builder.Services.AddSingleton<ResolverMetrics>();
        builder.Services.AddSingleton<SidecarChannel>();
        builder.Services.TryAddSingleton<IHolderStore, DaprHolderStore>();
        builder.Services.AddSingleton<ConflictBackoff>();
        builder.Services.AddSingleton<DocumentCache>();
        builder.Services.AddSingleton<LeaseBook>();
        builder.Services.AddSingleton<HolderBook>();
        builder.Services.AddSingleton<HolderWriter>();
        builder.Services.TryAddSingleton<IWishTopic, DaprWishTopic>();
        builder.Services.AddSingleton<SnapshotWishes>();
        builder.Services.AddSingleton<WishEndpoint>();
        builder.Services.AddSingleton<HearingEndpoint>();
        builder.Services.AddSingleton<EventApplier>();
        builder.Services.AddSingleton<EventEndpoint>();
        builder.Services.TryAddSingleton<ISidecar, DaprSidecar>();
        builder.Services.AddSingleton<RestartTurns>();
        builder.Services.AddHostedService<Resubscription>();
        builder.Services.AddSingleton<SilenceWatch>();
        builder.Services.AddHostedService(services => services.GetRequiredService<SilenceWatch>());
        builder.Services.AddSingleton<ResolveEndpoint>();
        builder.Services.AddSingleton<NodeEndpoint>();
        builder.Services.AddSingleton<InFlightMemory>();
        builder.Services.AddHostedService<InFlightWarmUp>();
        builder.Services.AddSingleton<InFlightBook>();
        builder.Services.AddSingleton<FollowEndpoint>();
        builder.Services.AddSingleton<InFlightEndpoint>();
        builder.Services.AddSingleton<StoreCheck>();
        builder.Services.AddHostedService(services => services.GetRequiredService<StoreCheck>());
        builder.Services.AddHealthChecks().AddCheck<StoreCheck>("store", tags: [ServiceDefaultsExtensions.ReadyTag]);
        builder.AddNodeWatch();

        var app = builder.Build();
        app.UseTelemetry();
        app.UseAppApiToken();
        app.Services.GetRequiredService<EventEndpoint>().Map(app);
        app.Services.GetRequiredService<WishEndpoint>().Map(app);
        app.Services.GetRequiredService<HearingEndpoint>().Map(app);
        app.Services.GetRequiredService<ResolveEndpoint>().Map(app);
        app.Services.GetRequiredService<NodeEndpoint>().Map(app);
        app.Services.GetRequiredService<FollowEndpoint>().Map(app);
        app.Services.GetRequiredService<InFlightEndpoint>().Map(app);
        return app;
    }

    private static void AddNodeWatch(this WebApplicationBuilder builder)
    {
        builder.Services.AddOptions<KubernetesOptions>().BindConfiguration(KubernetesOptions.Section).ValidateProblemsOnStart();
        if ((builder.Configuration.GetSection(KubernetesOptions.Section).Get<KubernetesOptions>() ?? new()).IsEnabled)
        {
            builder.Services.AddSingleton<NodeApi>();
            builder.Services.AddSingleton(services =>
            {
                var nodes = new ClusterNodes();
                nodes.LocationsChanged += services.GetRequiredService<Reach>().Seen;
                return nodes;
            });
            builder.Services.AddHostedService<LostNodes>();
            builder.Services.AddHostedService<NodeWatch>();
        }
    }
}
