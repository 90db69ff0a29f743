using System.Collections.Concurrent;
using SpegelDapr.LocalDapr.Components;
using SpegelDapr.LocalDapr.Components.InMemory;
using SpegelDapr.LocalDapr.Invocation;
using SpegelDapr.LocalDapr.Resources;

namespace SpegelDapr.LocalDapr;

/// <summary>
/// An embedded Dapr: sidecars in this process that speak Dapr's API. They share in-memory components by name and find each other's apps.
/// </summary>
public sealed class LocalDaprHost : IAsyncDisposable
{
    private readonly ILoggerFactory _loggers;
    private readonly TimeProvider _time;
    private readonly DeliveryFaults? _faults;
    private readonly HttpMessageInvoker _http = AppChannel.CreateClient();
    private readonly AppDirectory _directory;
    private readonly ComponentTypes _types;
    private readonly ResourceWatches _watches;
    private readonly ConcurrentDictionary<Sidecar, bool> _sidecars = new();

    /// <summary>A host without sidecars.</summary>
    /// <param name="loggers">Where to log; null logs nothing.</param>
    /// <param name="time">The clock of delays and expiry; null takes the system's.</param>
    /// <param name="faults">Makes deliveries worse on purpose; null does not.</param>
    public LocalDaprHost(ILoggerFactory? loggers = null, TimeProvider? time = null, DeliveryFaults? faults = null)
    {
        _loggers = loggers ?? Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance;
        _time = time ?? TimeProvider.System;
        _faults = faults;
        _directory = new AppDirectory(_loggers, _time);
        _types = new ComponentTypes(new InMemoryBackends(_time), _time, _loggers);
        _watches = new ResourceWatches(_loggers.CreateLogger<ResourceWatches>());
    }

    /// <summary>
    /// Starts a sidecar. When this returns the app can call it; the app's own subscriptions follow as soon as the app listens
    /// (<see cref="Sidecar.Subscribed"/>).
    /// </summary>
    /// <exception cref="LocalDaprException">A resource is wrong, a component's backend does not answer, or a port is taken.</exception>
    public async Task<Sidecar> StartAsync(AppSpec app, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(app);
        var files = new ResourceFiles(_loggers.CreateLogger<ResourceFiles>());
        var resources = files.Read(app.ResourcesPaths, app.AppId);
        var components = await ComponentSet.LoadAsync(
            app, [.. resources.Components, .. app.Components], _types, _loggers.CreateLogger<LocalDaprHost>(), cancellation);
        var sidecar = new Sidecar(app, components, files, _watches, _directory, _http, _faults, _time, _loggers);
        try
        {
            await sidecar.StartAsync(resources, cancellation);
        }
        catch
        {
            await sidecar.DisposeAsync();
            throw;
        }

        _sidecars[sidecar] = true;
        return sidecar;
    }

    /// <summary>Stops all sidecars.</summary>
    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_sidecars.Keys.Select(sidecar => sidecar.DisposeAsync().AsTask()));
        _watches.Dispose();
        _http.Dispose();
    }
}
