using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.Metrics;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Resolver;
using SpegelDapr.Resolver.Subscribing;

namespace SpegelDapr.Unit.Resolver;

/// <summary>Tests of what replicas do to their sidecars: a store that they share, a clock, and services that end with the test.</summary>
public abstract class SidecarTests : IAsyncLifetime
{
    private readonly ServiceProvider _meters = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly List<BackgroundService> _services = [];

    private protected SidecarTests()
    {
        Store = new MemoryHolderStore(Time);
        Metrics = new ResolverMetrics(_meters.GetRequiredService<IMeterFactory>());
    }

    private protected FakeTimeProvider Time { get; } = new(DateTimeOffset.UnixEpoch.AddYears(50));

    private protected MemoryHolderStore Store { get; }

    private protected ResolverMetrics Metrics { get; }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (var service in _services)
        {
            await service.StopAsync(CancellationToken.None);
            service.Dispose();
        }

        await _meters.DisposeAsync();
    }

    private protected RestartTurns Turns(IOptions<ResolverOptions> options) => new(Store, options, Time, NullLogger<RestartTurns>.Instance);

    private protected Task StartAsync(BackgroundService service)
    {
        _services.Add(service);
        return service.StartAsync(CancellationToken.None);
    }
}
