using System.Threading.Channels;
using Google.Protobuf.Collections;
using Grpc.Core;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Content;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Discovery.Containerd;

/// <summary>
/// The content of a containerd namespace that was pulled from a registry we mirror, and the tags that point to it. Content is listed when
/// an image changes, and looked up by itself when its file appears, so that a layer is announced before its image is complete.
/// </summary>
/// <remarks>
/// While containerd is away the content last reported stands: the files are there, and blob serves them. A tag counts only where its
/// target's labels say that it came from the tag's own repository: a name given locally (<c>ctr images tag</c>) says nothing about a
/// registry's tag.
/// </remarks>
internal sealed partial class ContainerdContentSource(
    ContainerdClient client,
    RegistryFilter filter,
    IOptions<ContainerdOptions> options,
    DiscoveryMetrics metrics,
    TimeProvider time,
    ILogger<ContainerdContentSource> logger) : IContentSource
{
    private static readonly TimeSpan FirstReconnectDelay = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestReconnectDelay = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Within a commit the file appears before the transaction that makes the content known ends, and the source label follows in a
    /// transaction of its own. This, doubled each time, is waited before looking again.
    /// </summary>
    private static readonly TimeSpan FirstLookAgainDelay = TimeSpan.FromMilliseconds(10);
    private const int MaxLooks = 10;

    private const int MaxLooksAtOnce = 16;

    /// <summary>Content is listed again this long after connecting: what changed before the subscription took hold is not told.</summary>
    private static readonly TimeSpan SubscriptionStart = TimeSpan.FromSeconds(1);

    private volatile bool _isReadable;

    public bool IsReadable => _isReadable;

    public async Task WatchAsync(Action<ContentChange> report, CancellationToken cancellationToken)
    {
        var delay = FirstReconnectDelay;
        var isKnownAway = false;
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                await WatchConnectionAsync(report, cancellationToken);
            }
            catch (Exception e) when (e is RpcException or IOException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
            {
                if (_isReadable)
                {
                    (delay, isKnownAway) = (FirstReconnectDelay, false);
                }

                if (!isKnownAway)
                {
                    Log.Away(logger, options.Value.Socket, e is RpcException rpc ? $"{rpc.StatusCode}: {rpc.Status.Detail}" : e.Message);
                }

                isKnownAway = true;
            }
            finally
            {
                _isReadable = false;
            }

            await Task.Delay(delay * (0.75 + (Random.Shared.NextDouble() / 2)), time, cancellationToken);
            delay = delay * 2 < LongestReconnectDelay ? delay * 2 : LongestReconnectDelay;
        }
    }

    /// <summary>Watches over one connection, until it breaks.</summary>
    private async Task WatchConnectionAsync(Action<ContentChange> report, CancellationToken cancellationToken)
    {
        using var connection = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var looks = Channel.CreateUnbounded<Look>(new UnboundedChannelOptions { SingleReader = true });
        using var watch = new BlobDirectoryWatch(options.Value.ContentPath, digest => looks.Writer.TryWrite(new Look(digest)), time, logger);
        var subscription = SubscribeAsync(looks.Writer, connection.Token);
        try
        {
            looks.Writer.TryWrite(Look.AtEverything);
            while (await looks.Reader.WaitToReadAsync(connection.Token))
            {
                await LookAsync(looks, report, connection.Token);
            }
        }
        finally
        {
            await connection.CancelAsync();
            await subscription;
        }
    }

    /// <summary>Turns containerd's events into looks; when they end, so do the looks, with the reason.</summary>
    private async Task SubscribeAsync(ChannelWriter<Look> looks, CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var topic in client.SubscribeAsync(cancellationToken))
            {
                Log.Event(logger, topic);
                looks.TryWrite(Look.AtEverything);
            }

            looks.TryComplete(new IOException("containerd has ended its events"));
        }
        catch (Exception e)
        {
            looks.TryComplete(e);
        }
    }

    /// <summary>Does all the looks that wait, in one go, and no two at the same digest at once: what is reported last is what was seen last.</summary>
    private async Task LookAsync(Channel<Look> looks, Action<ContentChange> report, CancellationToken cancellationToken)
    {
        var everything = false;
        var single = new Dictionary<Digest, int>();
        while (looks.Reader.TryRead(out var look))
        {
            if (look.Digest is { } digest)
            {
                single[digest] = look.Count;
            }
            else
            {
                everything = true;
            }
        }

        if (everything)
        {
            report(new ContentListed(await ListAsync(cancellationToken)));
            metrics.Listed();
            if (!_isReadable)
            {
                _isReadable = true;
                Log.Connected(logger, options.Value.Socket, options.Value.Namespace);
                _ = LookLaterAsync(looks.Writer, Look.AtEverything, SubscriptionStart, cancellationToken);
            }
        }

        // In the middle of a pull containerd is slow to answer, so the looks that wait are done side by side.
        await Parallel.ForEachAsync(
            single,
            new ParallelOptions { MaxDegreeOfParallelism = MaxLooksAtOnce, CancellationToken = cancellationToken },
            async (look, token) =>
            {
                var (digest, count) = look;
                if (!File.Exists(Path.Combine(options.Value.ContentPath, "blobs", digest.Algorithm, digest.Hex)))
                {
                    Report(new ContentRemoved(digest));
                }
                else if (await client.FindLabelsAsync(digest, token) is { } labels && IsAllowed(labels))
                {
                    Report(new ContentAdded(digest));
                }
                else if (count < MaxLooks)
                {
                    _ = LookLaterAsync(looks.Writer, new Look(digest, count + 1), FirstLookAgainDelay * (1 << (count - 1)), cancellationToken);
                }
            });

        void Report(ContentChange change)
        {
            lock (single)
            {
                report(change);
            }
        }
    }

    private async Task<List<HeldKey>> ListAsync(CancellationToken cancellationToken)
    {
        var images = await client.ListImagesAsync(cancellationToken);
        var content = await client.ListContentAsync(cancellationToken);
        List<HeldKey> held = [.. content.Where(entry => IsAllowed(entry.Value)).Select(entry => new HeldKey(entry.Key))];
        foreach (var image in images)
        {
            if (ContentKey.TryParse(image.Name, out var key)
                && key.IsTag
                && ImageReference.TryParse(image.Name, out var reference)
                && filter.IsAllowed(reference)
                && Digest.TryParse(image.Target?.Digest, out var target)
                && content.TryGetValue(target, out var labels)
                && IsFrom(labels, reference))
            {
                held.Add(new HeldKey(key, target, image.UpdatedAt?.ToDateTimeOffset()));
            }
        }

        return held;
    }

    private bool IsAllowed(MapField<string, string> labels) =>
        DistributionSources.Of(labels).Any(source => filter.IsSourceAllowed(source.Host, source.Repository));

    private bool IsFrom(MapField<string, string> labels, ImageReference reference) =>
        DistributionSources.Of(labels).Any(source =>
            source.Repository == reference.Repository
            && string.Equals(source.Host, RegistryFilter.HostOf(reference.Registry), StringComparison.OrdinalIgnoreCase)
            && filter.IsSourceAllowed(source.Host, source.Repository));

    private async Task LookLaterAsync(ChannelWriter<Look> looks, Look look, TimeSpan delay, CancellationToken cancellationToken)
    {
        await Task.Delay(delay, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        looks.TryWrite(look);
    }

    /// <summary>A look at one digest, for the count-th time since its file changed, or at everything.</summary>
    private readonly record struct Look(Digest? Digest, int Count = 1)
    {
        public static Look AtEverything => new(null);
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Information, Message = "Watching containerd at {Socket}, namespace {Namespace}")]
        public static partial void Connected(ILogger logger, string socket, string @namespace);

        [LoggerMessage(Level = LogLevel.Warning, Message = "containerd at {Socket} is away and is waited for; what it held stays announced: {Reason}")]
        public static partial void Away(ILogger logger, string socket, string reason);

        [LoggerMessage(Level = LogLevel.Debug, Message = "containerd: {Topic}")]
        public static partial void Event(ILogger logger, string topic);
    }
}
