using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver;
using SpegelDapr.Resolver.InFlight;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Simulation;

/// <summary>What one replica of a resolver can answer: nodes ask it whom to follow, one after the other, layer after layer, in real time.</summary>
internal static class TrackerLoad
{
    /// <summary>Each node asks for each layer, and then this part of them asks once more, as those do whose parent has gone.</summary>
    private const int OneInThatAsksAgain = 10;

    /// <summary>Until then the runtime is still compiling.</summary>
    private const int WarmUpLayers = 10;

    /// <summary>Asks for as many layers.</summary>
    /// <returns>How many questions were answered, how much time of a processor that took, and how many documents were written.</returns>
    public static async Task<(int Questions, TimeSpan Cpu, int Writes)> MeasureAsync(int nodes, int layers)
    {
        using var meters = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var (time, options) = (TimeProvider.System, Options.Create(new ResolverOptions()));
        var store = new ZoneStore(time, TimeSpan.Zero);
        var backoff = new ConflictBackoff(new ResolverMetrics(meters.GetRequiredService<IMeterFactory>()), time);
        using var cache = new DocumentCache(store, options, time, NullLogger<DocumentCache>.Instance);
        var leases = new LeaseBook(store, cache, backoff, options, time, NullLogger<LeaseBook>.Instance);
        var book = new InFlightBook(store, cache, leases, new InFlightMemory(time), backoff, options, time, NullLogger<InFlightBook>.Instance);
        var names = Enumerable.Range(0, nodes).Select(number => NodeName.Parse($"node-{number}")).ToArray();
        foreach (var name in names)
        {
            var node = new NodeIdentity(name, options.Value.Location, BlobAddress.Parse($"http://{name}:5000"));
            store.Put(new Lease(node, 1, DateTimeOffset.MaxValue)
                .ToWrite(StoreKeys.Lease(node.Location, name), StoreJson.Default.Lease, null, TimeSpan.FromDays(1)));
        }

        var (questions, began) = (0, TimeSpan.Zero);
        for (var layer = 0; layer < WarmUpLayers + layers; layer++)
        {
            if (layer == WarmUpLayers)
            {
                (questions, began) = (0, Environment.CpuUsage.TotalTime);
            }

            var digest = Digest.OfSha256(BitConverter.GetBytes(layer));
            var told = new FollowAnswer[nodes];
            for (var i = 0; i < nodes; i++, questions++)
            {
                told[i] = await book.FollowAsync(new FollowRequest(names[i], options.Value.Location, digest, []), CancellationToken.None);
            }

            for (var i = 1; i < nodes; i += OneInThatAsksAgain, questions++)
            {
                var question = new FollowRequest(names[i], options.Value.Location, digest, [], Declined: [told[i].Parent!.Name], Order: told[i].Order);
                await book.FollowAsync(question, CancellationToken.None);
            }
        }

        return (questions, Environment.CpuUsage.TotalTime - began, store.Writes);
    }
}
