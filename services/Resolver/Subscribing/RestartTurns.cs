using Microsoft.Extensions.Options;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Subscribing;

/// <summary>
/// Who of a zone's replicas may restart its sidecar: one at a time, as a replica without its sidecar answers nothing. One that is subscribed is enough
/// for a location to be in reach, because what it hears goes into the store of them all.
/// </summary>
internal sealed class RestartTurns(IHolderStore store, IOptions<ResolverOptions> options, TimeProvider time, ILogger<RestartTurns> logger)
{
    /// <summary>Long enough for a sidecar to be up again, also when Kubernetes waits before it starts it.</summary>
    public static readonly TimeSpan Length = TimeSpan.FromMinutes(1);

    private readonly string _key = StoreKeys.RestartTurn(options.Value.Location);

    /// <summary>Takes the turn; false when it is taken, by another replica or by this one itself a moment ago.</summary>
    /// <exception cref="StoreUnavailableException">The store does not answer.</exception>
    public async Task<bool> TryTakeAsync(CancellationToken cancellation)
    {
        var stored = (await store.GetAsync([_key], cancellation))[0];
        var now = time.GetUtcNow();
        return !(now < stored.Read(StoreJson.Default.RestartTurn, logger)?.EndsAt)
            && await store.TrySaveAsync([new RestartTurn(now + Length).ToWrite(_key, StoreJson.Default.RestartTurn, stored.ETag, Length)], cancellation);
    }
}

/// <summary>A turn that has been taken.</summary>
/// <param name="EndsAt">When the next may be.</param>
internal sealed record RestartTurn(DateTimeOffset EndsAt);
