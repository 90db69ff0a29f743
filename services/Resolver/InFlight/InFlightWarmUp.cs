using System.Text.Json;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.InFlight;

/// <summary>
/// Places some nodes that there are not, so that the code is compiled when nodes ask for the first time: they wait half a second, and then go upstream all at once.
/// </summary>
internal sealed class InFlightWarmUp(IOptions<ResolverOptions> options, TimeProvider time) : BackgroundService
{
    /// <inheritdoc/>
    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.Run(Place, stoppingToken);

    private void Place()
    {
        var now = time.GetUtcNow();
        var nodes = Enumerable.Range(0, InFlightDocument.MostNodes + 2)
            .Select(i => new NodeIdentity(NodeName.Parse($"node-{i}"), options.Value.Location, BlobAddress.Parse("http://192.0.2.1:5000")))
            .ToDictionary(node => node.Name);
        var document = InFlightDocument.Empty;
        foreach (var name in nodes.Keys)
        {
            var question = new FollowRequest(name, options.Value.Location, Digest.OfSha256([]), [], []);
            var bytes = JsonSerializer.SerializeToUtf8Bytes(question, ContractsJson.Default.FollowRequest);
            question = JsonSerializer.Deserialize(bytes, ContractsJson.Default.FollowRequest)!;
            (document, var answer) = document.Follow(question, nodes, _ => default, options.Value.MaxFollowers, now, Random.Shared);
            JsonSerializer.SerializeToUtf8Bytes(answer, ContractsJson.Default.FollowAnswer);
        }

        var json = JsonSerializer.SerializeToUtf8Bytes(document, StoreJson.Default.InFlightDocument);
        JsonSerializer.Deserialize(json, StoreJson.Default.InFlightDocument)!.With(document, document, options.Value.MaxFollowers);
    }
}
