using System.Diagnostics;
using System.Net;
using System.Text.Json;

namespace SpegelDapr.LocalDapr.Tests.Support;

/// <summary>
/// What is tested: LocalDapr in this process, or with DAPRD_PATH a process of that program per app, with the same flags and the same resource
/// files.
/// </summary>
internal sealed class Runtime : IAsyncDisposable
{
    private readonly LocalDaprHost _host;
    private readonly List<TestApp> _apps = [];
    private readonly List<Process> _daprds = [];
    private readonly Dictionary<TestApp, (Func<Task> Ended, Func<Task> Start)> _sidecars = [];
    private readonly string _directory = Directory.CreateTempSubdirectory("localdapr-test-").FullName;
    private readonly string _configurations = Directory.CreateTempSubdirectory("localdapr-test-").FullName;

    private Runtime(Backend backend, DeliveryFaults? faults) => (Backend, _host) = (backend, new LocalDaprHost(faults: faults));

    /// <summary>The real daprd to run against, if there is one.</summary>
    public static string? DaprdPath { get; } = Environment.GetEnvironmentVariable("DAPRD_PATH") is { Length: > 0 } path ? path : null;

    public Backend Backend { get; }

    public RedisServer Redis { get; } = new();

    /// <summary>The RabbitMQ that tests share, each with a virtual host of its own.</summary>
    public Uri? RabbitMq { get; private set; }

    /// <summary>A runtime with the components <c>events</c>, whose failed deliveries are repeated, and <c>store</c>.</summary>
    public static async Task<Runtime> StartAsync(Backend backend, DeliveryFaults? faults = null)
    {
        var runtime = new Runtime(backend, faults);
        if (backend == Backend.Redis)
        {
            await runtime.Redis.StartAsync();
        }

        if (backend == Backend.RabbitMq)
        {
            runtime.RabbitMq = await RabbitMqServer.NextVirtualHostAsync();
        }

        runtime.AddPubSub("events");
        runtime.AddStateStore("store");
        runtime.Add("retries", """
            apiVersion: dapr.io/v1alpha1
            kind: Resiliency
            metadata: { name: retries }
            spec:
              policies: { retries: { again: { policy: constant, duration: 100ms, maxRetries: 3 } } }
              targets: { components: { events: { inbound: { retry: again } } } }
            """);
        return runtime;
    }

    public void AddPubSub(string name, string settings = "", string scopes = "") => AddComponent(name, "pubsub", settings, scopes);

    public void AddStateStore(string name, string settings = "", string scopes = "") => AddComponent(name, "state", settings, scopes);

    public void Add(string name, string yaml) => File.WriteAllText(Path.Combine(_directory, name + ".yaml"), yaml);

    public void Remove(string name) => File.Delete(Path.Combine(_directory, name + ".yaml"));

    /// <summary>Declares a subscription to <c>events</c>.</summary>
    public void Declare(string name, string topic, string route = "/events/declared", string scopes = "", string pubSub = "events") => Add(name, $$"""
        apiVersion: dapr.io/v2alpha1
        kind: Subscription
        metadata: { name: {{name}} }
        spec:
          pubsubname: {{pubSub}}
          topic: {{topic}}
          routes: { default: {{route}} }
        {{scopes}}
        """);

    /// <summary>Starts an app with its sidecar, and returns when its subscriptions are in place.</summary>
    /// <param name="appId">The app's id.</param>
    /// <param name="subscriptions">What it answers when it is asked for its subscriptions.</param>
    /// <param name="apiToken">The token that the sidecar asks for.</param>
    /// <param name="appToken">The token that the app is sent.</param>
    /// <param name="hotReload">Whether the sidecar takes in changed resources.</param>
    public async Task<TestApp> StartAppAsync(
        string appId, object[]? subscriptions = null, string? apiToken = null, string? appToken = null, bool hotReload = true)
    {
        var config = hotReload ? null : WriteConfiguration();
        var app = new TestApp(appId, subscriptions ?? []);
        _apps.Add(app);
        await app.StartAsync();
        if (DaprdPath is { } daprd)
        {
            var (http, grpc) = (FreePorts.Next(), FreePorts.Next());
            var process = StartDaprd(daprd, app, http, grpc, apiToken, appToken, config);
            app.Connect($"http://127.0.0.1:{http}", $"http://127.0.0.1:{grpc}", apiToken);
            _sidecars[app] = (
                () => process.WaitForExitAsync().WaitAsync(Eventually.Deadline),
                () =>
                {
                    process = StartDaprd(daprd, app, http, grpc, apiToken, appToken, config);
                    return Task.CompletedTask;
                });
        }
        else
        {
            var spec = new AppSpec(appId)
            {
                AppPort = app.Port,
                ResourcesPaths = [_directory],
                DaprApiToken = apiToken,
                AppApiToken = appToken,
                ConfigPath = config,
            };
            var sidecar = await _host.StartAsync(spec);
            app.Connect(sidecar.HttpEndpoint, sidecar.GrpcEndpoint, apiToken);
            _sidecars[app] = (
                async () =>
                {
                    await sidecar.ShutdownRequested.WaitAsync(Eventually.Deadline);
                    await sidecar.DisposeAsync();
                },
                async () => sidecar = await _host.StartAsync(spec with { HttpPort = sidecar.HttpPort, GrpcPort = sidecar.GrpcPort }));
        }

        await WaitUntilSubscribedAsync(app);
        return app;
    }

    /// <summary>
    /// Does to an app's sidecar, which has been asked to shut down, what Kubernetes does: starts it again once it has exited. Returns when the app's
    /// subscriptions are in place.
    /// </summary>
    /// <param name="app">The app.</param>
    /// <param name="whileAway">What to do before it is started again.</param>
    public async Task RestartSidecarAsync(TestApp app, Func<Task>? whileAway = null)
    {
        await _sidecars[app].Ended();
        await (whileAway?.Invoke() ?? Task.CompletedTask);
        await _sidecars[app].Start();
        await WaitUntilSubscribedAsync(app);
    }

    /// <summary>A subscription to <c>events</c>.</summary>
    public static object To(string topic, string route = "/events/in", string pubSub = "events", string deadLetterTopic = "", bool raw = false) => new
    {
        pubsubname = pubSub,
        topic,
        route,
        deadLetterTopic,
        metadata = raw ? new Dictionary<string, string> { ["rawPayload"] = "true" } : [],
    };

    /// <summary>The <c>errorCode</c> of an answer.</summary>
    public static async Task<string?> ErrorCodeAsync(HttpResponseMessage answer) =>
        JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement.GetProperty("errorCode").GetString();

    public async ValueTask DisposeAsync()
    {
        foreach (var daprd in _daprds)
        {
            if (!daprd.HasExited)
            {
                daprd.Kill();
                await daprd.WaitForExitAsync();
            }

            daprd.Dispose();
        }

        await _host.DisposeAsync();
        foreach (var app in _apps)
        {
            await app.DisposeAsync();
        }

        await Redis.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
        Directory.Delete(_configurations, recursive: true);
    }

    private void AddComponent(string name, string kind, string settings, string scopes)
    {
        // Queues that stay while the sidecar restarts are what the other brokers have.
        var (type, server) = (Backend, kind) switch
        {
            (Backend.Redis, _) => ("redis", $"- {{ name: redisHost, value: '127.0.0.1:{Redis.Port}' }}"),
            (Backend.RabbitMq, "pubsub") => (
                "rabbitmq", $"- {{ name: connectionString, value: '{RabbitMq}' }}\n  - {{ name: deletedWhenUnused, value: 'false' }}"),
            _ => ("in-memory", ""),
        };
        Add(name, $"""
            apiVersion: dapr.io/v1alpha1
            kind: Component
            metadata:
              name: {name}
            spec:
              type: {kind}.{type}
              version: v1
              metadata:
              {server}
              {settings}
            {scopes}
            """);
    }

    // Not among the resources, where daprd would not read it.
    private string WriteConfiguration()
    {
        var file = Path.Combine(_configurations, "configuration.yaml");
        File.WriteAllText(file, """
            apiVersion: dapr.io/v1alpha1
            kind: Configuration
            metadata: { name: configuration }
            spec: { features: [{ name: HotReload, enabled: false }] }
            """);
        return file;
    }

    private static Task WaitUntilSubscribedAsync(TestApp app) => Eventually.TrueAsync(async () =>
    {
        try
        {
            return (await app.Http.GetAsync("/v1.0/healthz")).StatusCode == HttpStatusCode.NoContent;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    });

    private Process StartDaprd(string daprd, TestApp app, int http, int grpc, string? apiToken, string? appToken, string? config)
    {
        var start = new ProcessStartInfo(daprd,
        [
            "--app-id", app.AppId, "--app-port", $"{app.Port}", "--dapr-http-port", $"{http}", "--dapr-grpc-port", $"{grpc}",
            "--dapr-internal-grpc-port", $"{FreePorts.Next()}", "--metrics-port", $"{FreePorts.Next()}", "--resources-path", _directory,
            "--placement-host-address", "", "--scheduler-host-address", "", "--log-level", "warn",
            .. config is null ? (string[])[] : ["--config", config],
        ]);
        start.Environment["DAPR_API_TOKEN"] = apiToken;
        start.Environment["APP_API_TOKEN"] = appToken;
        var process = Process.Start(start)!;
        _daprds.Add(process);
        return process;
    }
}
