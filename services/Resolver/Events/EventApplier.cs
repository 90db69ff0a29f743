using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Hearing;
using SpegelDapr.Resolver.Holders;
using SpegelDapr.Resolver.Leases;
using SpegelDapr.Resolver.Store;

namespace SpegelDapr.Resolver.Events;

/// <summary>What has become of an event.</summary>
internal enum EventOutcome
{
    /// <summary>It has been applied.</summary>
    Applied,

    /// <summary>It had been applied before.</summary>
    Duplicate,

    /// <summary>It is of an epoch that has passed.</summary>
    Stale,
}

/// <summary>
/// Takes events into leases and holders. Every step may be repeated and every event may come twice or in any order: an entry is written
/// before the lease counts its event as applied, and of two entries the newer holds.
/// </summary>
internal sealed class EventApplier(
    LeaseBook leases,
    HolderWriter holders,
    SnapshotWishes wishes,
    IOptions<ResolverOptions> options,
    TimeProvider time)
{
    /// <summary>Applies an event that has been checked.</summary>
    /// <exception cref="StoreUnavailableException">It may have been applied in part and must be delivered again.</exception>
    public async Task<EventOutcome> ApplyAsync(LayerEvent layerEvent, CancellationToken cancellation)
    {
        var known = await leases.FindAsync(layerEvent.Node.Location, layerEvent.Node.Name, cancellation);
        if (known?.Epoch > layerEvent.Epoch)
        {
            return EventOutcome.Stale;
        }

        var isKnownEpoch = known?.Epoch == layerEvent.Epoch;
        switch (layerEvent)
        {
            case HeartbeatEvent heartbeat:
                await UpdateAsync(heartbeat, lease => lease.Hear(heartbeat, time.GetUtcNow()), cancellation);
                wishes.Compare(heartbeat, known);
                return EventOutcome.Applied;

            case LeavingEvent:
                await UpdateAsync(layerEvent, lease => lease with { Left = true }, cancellation);
                return EventOutcome.Applied;

            case SnapshotEvent or DeltaEvent when isKnownEpoch && known!.HasHeard(layerEvent):
                return EventOutcome.Duplicate;

            case SnapshotEvent chunk:
                await WriteAsync(chunk, isKnownEpoch, Entries(chunk, [], chunk.Keys), cancellation);
                await UpdateAsync(chunk, lease => lease.Apply(chunk, time.GetUtcNow()), cancellation);
                return EventOutcome.Applied;

            case DeltaEvent delta:
                await WriteAsync(delta, isKnownEpoch, Entries(delta, delta.Removed, delta.Added), cancellation);
                await UpdateAsync(delta, lease => lease.Apply(delta), cancellation);
                return EventOutcome.Applied;

            default:
                throw new ArgumentOutOfRangeException(nameof(layerEvent), layerEvent.Type, null);
        }
    }

    /// <summary>
    /// Writes an event's entries. The lease of a new epoch comes first: whoever writes the same documents meanwhile drops the entries of nodes
    /// that have none.
    /// </summary>
    private async Task WriteAsync(LayerEvent layerEvent, bool isKnownEpoch, Dictionary<ContentKey, HolderEntry> entries, CancellationToken cancellation)
    {
        if (!isKnownEpoch)
        {
            await UpdateAsync(layerEvent, lease => lease, cancellation);
        }

        if (entries.Count > 0)
        {
            await holders.WriteAsync(layerEvent.Node.Location, entries, cancellation);
        }
    }

    private Task<Lease> UpdateAsync(LayerEvent layerEvent, Func<Lease, Lease> change, CancellationToken cancellation) => leases.UpdateAsync(
        layerEvent.Node.Location,
        layerEvent.Node.Name,
        lease =>
        {
            if (lease?.Epoch > layerEvent.Epoch)
            {
                return lease;
            }

            var expiresAt = time.GetUtcNow() + options.Value.LeaseDuration;
            var current = lease?.Epoch == layerEvent.Epoch ? lease : new Lease(layerEvent.Node, layerEvent.Epoch, expiresAt);
            return change(current.Renew(layerEvent.Node, expiresAt));
        },
        cancellation);

    /// <summary>
    /// One entry for each key: a tag that has moved is both removed and added, and is then held. No tag has been updated after now, whatever the
    /// node's clock says: a date in the future would outdo all other nodes until it has come.
    /// </summary>
    private Dictionary<ContentKey, HolderEntry> Entries(LayerEvent layerEvent, IEnumerable<HeldKey> removed, IEnumerable<HeldKey> added)
    {
        var now = time.GetUtcNow();
        var entries = new Dictionary<ContentKey, HolderEntry>();
        foreach (var held in removed)
        {
            entries[held.Key] = Entry(held) with { RemovedAt = now };
        }

        foreach (var held in added)
        {
            entries[held.Key] = Entry(held);
        }

        return entries;

        HolderEntry Entry(HeldKey held) => new(layerEvent.Node.Name, layerEvent.Epoch, layerEvent.Sequence)
        {
            Digest = held.Digest,
            UpdatedAt = held.UpdatedAt > now ? now : held.UpdatedAt,
        };
    }
}
