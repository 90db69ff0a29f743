using System.Net;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using SpegelDapr.LocalDapr.Api;
using SpegelDapr.LocalDapr.Components;
using SpegelDapr.LocalDapr.Invocation;
using SpegelDapr.LocalDapr.PubSub;
using SpegelDapr.LocalDapr.Resources;
using SpegelDapr.LocalDapr.State;

namespace SpegelDapr.LocalDapr;

/// <summary>The sidecar of one app instance.</summary>
public sealed partial class Sidecar : IAsyncDisposable
{
    private static readonly TimeSpan AppPoll = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan ShutdownGrace = TimeSpan.FromSeconds(5);

    private readonly AppSpec _app;
    private readonly ComponentSet _components;
    private readonly AppDirectory _directory;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly AppSubscriptions? _appSubscriptions;
    private readonly SubscriptionSet _subscriptions;
    private readonly Publisher _publisher;
    private readonly HotReload? _hotReload;
    private readonly WebApplication _api;
    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource _subscribed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _shutdown = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _subscribing = Task.CompletedTask;
    private Task _reloading = Task.CompletedTask;
    private IDisposable? _registration;
    private int _disposed;

    internal Sidecar(
        AppSpec app,
        ComponentSet components,
        ResourceFiles files,
        ResourceWatches watches,
        AppDirectory directory,
        HttpMessageInvoker http,
        DeliveryFaults? faults,
        TimeProvider time,
        ILoggerFactory loggers)
    {
        (_app, _components, _directory, _time, _logger) = (app, components, directory, time, loggers.CreateLogger<Sidecar>());
        _publisher = new Publisher(app, components, time);
        var channel = new AppChannel(new AppAddress(app.AppChannelAddress, app.AppPort ?? 0, app.AppApiToken), http);
        _subscriptions = new SubscriptionSet(app, components, channel, _publisher, faults, time, loggers.CreateLogger<SubscriptionSet>());
        if (ResourceFiles.IsHotReloadOn(app.ConfigPath))
        {
            _hotReload = new HotReload(app, files, watches, components, _subscriptions, time, loggers.CreateLogger<HotReload>());
        }

        if (app.AppPort is not null)
        {
            _appSubscriptions = new AppSubscriptions(app, channel, loggers.CreateLogger<AppSubscriptions>());
        }

        _api = CreateApi(new StateAccess(app, components), new Invoker(app, directory, http), loggers);
    }

    /// <summary>The app's id.</summary>
    public string AppId => _app.AppId;

    /// <summary>The port of the HTTP API.</summary>
    public int HttpPort { get; private set; }

    /// <summary>The port of the gRPC API.</summary>
    public int GrpcPort { get; private set; }

    /// <summary>The HTTP API, for <c>DaprClientBuilder.UseHttpEndpoint</c>.</summary>
    public string HttpEndpoint => $"http://127.0.0.1:{HttpPort}";

    /// <summary>The gRPC API, for <c>DaprClientBuilder.UseGrpcEndpoint</c>.</summary>
    public string GrpcEndpoint => $"http://127.0.0.1:{GrpcPort}";

    /// <summary>Ends when the app has told its subscriptions and they are in place, or at once for an app without a port.</summary>
    public Task Subscribed => _subscribed.Task;

    /// <summary>
    /// Ends when somebody asks for it over the API: <c>POST /v1.0/shutdown</c>; and with a <see cref="LocalDaprException"/> when a component could not
    /// be made anew, or a declared subscription, for which daprd exits. The sidecar does not stop by itself.
    /// </summary>
    public Task ShutdownRequested => _shutdown.Task;

    /// <summary>
    /// Loses the brokers for good while all else goes on, for tests: nothing is published and nothing delivered any more, and health says nothing of
    /// it. Dapr's JetStream component comes to that after an outage. Another start cures it.
    /// </summary>
    public async Task LoseBrokersAsync()
    {
        _publisher.Lose();
        await _subscriptions.LoseAsync();
    }

    /// <summary>Stops deliveries and the API. The app is left alone; messages in hand go back to their brokers.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 1)
        {
            return;
        }

        _registration?.Dispose();
        await _stopping.CancelAsync();
        await Task.WhenAll(_subscribing, _reloading);
        await _subscriptions.DisposeAsync();
        using (var grace = new CancellationTokenSource(ShutdownGrace))
        {
            await _api.StopAsync(grace.Token);
        }

        await _api.DisposeAsync();
        await _components.DisposeAsync();
        _subscribed.TrySetCanceled();
        _stopping.Dispose();
    }

    internal async Task StartAsync(ResourceSet resources, CancellationToken cancellation)
    {
        _subscriptions.SetRetries(resources.InboundRetries);
        foreach (var subscription in resources.Subscriptions)
        {
            await _subscriptions.DeclareAsync(subscription, cancellation);
        }

        try
        {
            await _api.StartAsync(cancellation);
        }
        catch (IOException e)
        {
            throw new LocalDaprException($"The sidecar of {AppId} cannot listen on ports {_app.HttpPort} and {_app.GrpcPort}: {e.Message}", e);
        }

        var addresses = _api.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;
        (HttpPort, GrpcPort) = addresses.Select(address => new Uri(address).Port).ToArray() is [var http, var grpc] ? (http, grpc) : default;
        if (_app.AppPort is { } port)
        {
            _registration = _directory.Register(_app, new AppAddress(_app.AppChannelAddress, port, _app.AppApiToken));
        }

        Log.Started(_logger, AppId, HttpPort, GrpcPort);
        _subscribing = Task.Run(SubscribeAsync, CancellationToken.None);
        _reloading = Task.Run(ReloadAsync, CancellationToken.None);
    }

    private WebApplication CreateApi(StateAccess state, Invoker invoker, ILoggerFactory loggers)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Listen(IPAddress.Loopback, _app.HttpPort, listen => listen.Protocols = HttpProtocols.Http1);
            kestrel.Listen(IPAddress.Loopback, _app.GrpcPort, listen => listen.Protocols = HttpProtocols.Http2);
        });
        builder.Services.AddSingleton(loggers);
        builder.Services.AddRoutingCore();
        builder.Services.AddGrpc(grpc => (grpc.MaxReceiveMessageSize, grpc.MaxSendMessageSize) = (ApiGuard.MostBodyBytes, ApiGuard.MostBodyBytes));

        var api = builder.Build();
        var metadata = new MetadataEndpoints(_app, _components, _subscriptions, _hotReload is null ? [] : [HotReload.Feature]);
        var guard = new ApiGuard(_app.DaprApiToken);
        var invocation = new InvocationEndpoints(invoker);
        api.MapWhen(context => HttpProtocol.IsHttp2(context.Request.Protocol), grpc => grpc
            .UseRouting()
            .UseEndpoints(endpoints => endpoints.MapGrpcService(
                new GrpcApi(_publisher, state, invoker, metadata, guard, () => _shutdown.TrySetResult()).Bind())));
        api.Use(guard.InvokeAsync);
        api.UseRouting();
        new PublishEndpoints(_publisher).Map(api);
        new StateEndpoints(state).Map(api);
        metadata.Map(api);
        new HealthEndpoints(AppId, _subscribed.Task).Map(api);
        api.MapPost("/v1.0/shutdown", context =>
        {
            _shutdown.TrySetResult();
            return context.Response.WriteEmptyAsync();
        });
        api.MapFallback("{**path}", invocation.InvokeAsync);
        return api;
    }

    // An app may come up after its sidecar, in its own time; daprd waits for its port as well.
    private async Task SubscribeAsync()
    {
        while (_appSubscriptions is not null)
        {
            try
            {
                await _subscriptions.StartAsync(await _appSubscriptions.ReadAsync(_stopping.Token), _stopping.Token);
                break;
            }
            catch (HttpRequestException)
            {
                await Task.Delay(AppPoll, _time, _stopping.Token).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            }
            catch (OperationCanceledException)
            {
                // The sidecar stops.
            }

            if (_stopping.IsCancellationRequested)
            {
                return;
            }
        }

        _subscribed.TrySetResult();
    }

    private async Task ReloadAsync()
    {
        try
        {
            await (_hotReload?.RunAsync(AskAgainAsync, _stopping.Token) ?? Task.CompletedTask);
        }
        catch (OperationCanceledException)
        {
            // The sidecar stops.
        }
        catch (LocalDaprException e)
        {
            Log.ReloadFailed(_logger, AppId, e.Message);
            _shutdown.TrySetException(e);
        }
    }

    // An app that is not there yet is asked when it is.
    private async Task AskAgainAsync()
    {
        if (_appSubscriptions is not null && _subscribed.Task.IsCompleted)
        {
            try
            {
                await _subscriptions.StartAsync(await _appSubscriptions.ReadAsync(_stopping.Token), _stopping.Token);
            }
            catch (HttpRequestException e)
            {
                Log.NotAsked(_logger, AppId, e.Message);
            }
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Error, Message = "The sidecar of {App} exits, as a changed resource cannot be taken in: {Reason}")]
        public static partial void ReloadFailed(ILogger logger, string app, string reason);

        [LoggerMessage(Level = LogLevel.Warning, Message = "The app {App} could not be asked for its subscriptions again: {Reason}")]
        public static partial void NotAsked(ILogger logger, string app, string reason);

        [LoggerMessage(Level = LogLevel.Information, Message = "The sidecar of {App} listens: HTTP on {HttpPort}, gRPC on {GrpcPort}.")]
        public static partial void Started(ILogger logger, string app, int httpPort, int grpcPort);
    }
}
