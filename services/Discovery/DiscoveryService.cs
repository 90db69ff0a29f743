using Microsoft.Extensions.Configuration.Memory;
using SpegelDapr.Discovery.Containerd;
using SpegelDapr.Discovery.Content;
using SpegelDapr.Discovery.Hearing;
using SpegelDapr.Discovery.OciLayout;
using SpegelDapr.Discovery.Publishing;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Discovery;

/// <summary>Watches the content of its node and announces it to the resolvers. It calls its sidecar and is never called, so it listens for telemetry alone.</summary>
public static class DiscoveryService
{
    private static readonly Dictionary<string, string?> DefaultUrls = new()
    {
        ["Telemetry:Url"] = "http://127.0.0.1:9091",
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
        builder.AddServiceDefaults();

        builder.Services.AddOptions<NodeOptions>().BindConfiguration(NodeOptions.Section).ValidateProblemsOnStart();
        builder.Services.AddOptions<DiscoveryOptions>().BindConfiguration(DiscoveryOptions.Section).ValidateProblemsOnStart();
        builder.Services.AddRegistryFilter();
        builder.AddContentSource();
        builder.Services.AddSingleton<DiscoveryMetrics>();
        builder.Services.AddSingleton<HeldContent>();
        builder.Services.AddSingleton<IEventSink, DaprEventSink>();
        builder.Services.AddSingleton<EventPublisher>();
        builder.Services.AddSingleton<IHearingQuestion, DaprHearingQuestion>();
        builder.Services.AddSingleton<HearingCheck>();
        builder.Services.AddSingleton<Announcer>();
        builder.Services.AddHostedService(services => services.GetRequiredService<Announcer>());
        builder.Services.AddSingleton<NodeSetupProblems>();
        builder.Services.AddHealthChecks()
            .AddCheck<ContentReadyCheck>("content", tags: [ServiceDefaultsExtensions.ReadyTag])
            .AddCheck<EventPublisher>("publishing", tags: [ServiceDefaultsExtensions.ReadyTag])
            .AddCheck<NodeSetupProblems>("node-setup", tags: [ServiceDefaultsExtensions.ReadyTag]);

        var app = builder.Build();
        _ = app.Services.GetRequiredService<NodeSetupProblems>();
        app.UseTelemetry();
        return app;
    }

    private static void AddContentSource(this WebApplicationBuilder builder)
    {
        if (builder.Configuration[$"{DiscoveryOptions.Section}:{nameof(DiscoveryOptions.Source)}"] == DiscoveryOptions.OciLayoutSource)
        {
            builder.Services.AddOptions<OciLayoutOptions>().BindConfiguration(OciLayoutOptions.Section).ValidateProblemsOnStart();
            builder.Services.AddSingleton<IContentSource, OciLayoutContentSource>();
        }
        else
        {
            builder.Services.AddOptions<ContainerdOptions>().BindConfiguration(ContainerdOptions.Section).ValidateProblemsOnStart();
            builder.Services.AddSingleton<ContainerdClient>();
            builder.Services.AddSingleton<IContentSource, ContainerdContentSource>();
        }
    }
}
