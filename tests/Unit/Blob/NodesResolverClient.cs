using System.Diagnostics.Metrics;
using Dapr.Client;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Blob;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit.Blob;

/// <summary>The resolver client of a node in <c>eu/a</c>, with its default budget.</summary>
internal sealed class NodesResolverClient : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly DaprClient _dapr;

    public NodesResolverClient(Uri sidecar, TimeProvider time, ILogger<ResolverClient> logger)
    {
        _dapr = new DaprClientBuilder().UseHttpEndpoint(sidecar.ToString()).Build();
        Client = new ResolverClient(
            _dapr,
            Options.Create(new NodeOptions { Name = "node-a", Region = "eu", Zone = "a", Address = "http://127.0.0.1:1" }),
            Options.Create(new BlobOptions()),
            new BlobMetrics(_services.GetRequiredService<IMeterFactory>(), Options.Create(new NodeOptions()), time),
            time,
            logger);
    }

    public ResolverClient Client { get; }

    public void Dispose()
    {
        Client.Dispose();
        _dapr.Dispose();
        _services.Dispose();
    }
}
