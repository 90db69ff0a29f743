using System.Net.Http.Json;
using SpegelDapr.Cli.Images;
using SpegelDapr.Cli.Pull;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Demo;

/// <summary>A node of the demo's cluster: its image layout in the place of containerd's store, and its mirror.</summary>
/// <param name="identity">The node, whose address is that of its mirror.</param>
/// <param name="layout">The node's content.</param>
/// <param name="sidecar">The node's Dapr sidecar, over HTTP.</param>
/// <param name="upstream">The registry to go to for what the mirror does not have.</param>
internal sealed class DemoNode(NodeIdentity identity, OciLayout layout, Uri sidecar, Uri upstream) : IDisposable
{
    private static readonly TimeSpan AnnouncementBudget = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(20);
    private static readonly NodeName Asker = NodeName.Parse("demo");

    private readonly HttpClient _mirror = new() { BaseAddress = identity.Address.Uri };
    private readonly HttpClient _upstream = new()
    {
        BaseAddress = upstream,

        // Says to the demo's network over whose link the answer comes.
        DefaultRequestHeaders = { { SpegelHeaders.Peer, new PeerClaim(identity.Location, identity.Name).ToString() } },
    };

    private readonly HttpClient _sidecar = new() { BaseAddress = sidecar };

    /// <summary>Who and where the node is.</summary>
    public NodeIdentity Identity => identity;

    /// <summary>Pulls an image into the node's content, through its mirror first and upstream else.</summary>
    public Task<PullResult> PullAsync(ImageReference image, IPullProgress progress, CancellationToken cancellationToken) =>
        new ImagePuller([new RegistrySource(_mirror, Tier.Local), new RegistrySource(_upstream, Tier.Upstream)], layout, TimeProvider.System)
            .PullAsync(image, progress, cancellationToken);

    /// <summary>Waits until the zone's resolver knows this node, whom its peers serve only then.</summary>
    /// <exception cref="UserErrorException">It does not within ten seconds.</exception>
    public Task WaitUntilKnownAsync(CancellationToken cancellationToken) =>
        WaitAsync("know", IsKnownAsync, cancellationToken);

    /// <summary>Waits until the zone's resolver offers all <paramref name="keys"/> from this node.</summary>
    /// <exception cref="UserErrorException">It does not within ten seconds.</exception>
    public Task WaitUntilAnnouncedAsync(IReadOnlyList<ContentKey> keys, CancellationToken cancellationToken) =>
        WaitAsync("offer all of", token => IsAnnouncedAsync(keys, token), cancellationToken);

    /// <inheritdoc/>
    public void Dispose()
    {
        _mirror.Dispose();
        _upstream.Dispose();
        _sidecar.Dispose();
    }

    private async Task WaitAsync(string what, Func<CancellationToken, Task<bool>> isSo, CancellationToken cancellationToken)
    {
        using var budget = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        budget.CancelAfter(AnnouncementBudget);
        try
        {
            while (!await isSo(budget.Token))
            {
                await Task.Delay(PollInterval, budget.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new UserErrorException(
                $"The resolver of {identity.Location.Zone} did not come to {what} {identity.Name} within {AnnouncementBudget.TotalSeconds:0} s.");
        }
    }

    private async Task<bool> IsKnownAsync(CancellationToken cancellationToken)
    {
        var claim = new PeerClaim(identity.Location, identity.Name);
        using var response = await _sidecar.GetAsync(new Uri(Invocation(NodeAnswer.Method(claim)), UriKind.Relative), cancellationToken);
        return response.IsSuccessStatusCode
            && await response.Content.ReadFromJsonAsync(ContractsJson.Default.NodeAnswer, cancellationToken) is { Node: not null };
    }

    private string Invocation(string method) => $"v1.0/invoke/{DaprNames.Resolver(identity.Location.Zone)}/method/{method}";

    private async Task<bool> IsAnnouncedAsync(IReadOnlyList<ContentKey> keys, CancellationToken cancellationToken)
    {
        using var response = await _sidecar.PostAsJsonAsync(
            Invocation(ResolveRequest.Method),
            new ResolveRequest(Asker, identity.Location, keys),
            ContractsJson.Default.ResolveRequest,
            cancellationToken);
        if (!response.IsSuccessStatusCode)
        {
            return false;
        }

        var answer = await response.Content.ReadFromJsonAsync(ContractsJson.Default.ResolveAnswer, cancellationToken);
        return answer!.Keys.All(key => key.Holders.Any(holder => holder.Node.Name == identity.Name));
    }
}
