using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Http;

/// <summary>
/// Looks every few minutes whether it is this mirror that answers where the node's containerd looks for it. A Service whose node port is the pod's host port
/// takes all that is meant for the mirror, without a word. That nobody answers tells nothing: some networks do not let a pod reach its own host port.
/// </summary>
internal sealed partial class MirrorAddressWatch(
    IOptions<BlobOptions> options, IOptions<NodeOptions> node, BlobMetrics metrics, TimeProvider time, ILogger<MirrorAddressWatch> logger) : BackgroundService
{
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(5);

    /// <summary>A port mapping may come a moment after its pod.</summary>
    private static readonly TimeSpan FirstDelay = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Interval = TimeSpan.FromMinutes(5);

    private volatile bool _isTaken;

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (options.Value.MirrorAddress is not { Length: > 0 } setting)
        {
            return;
        }

        var address = BlobAddress.ParseSetting(setting);
        metrics.ObserveMirrorAddress(() => _isTaken);
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false, ActivityHeadersPropagator = null });
        var target = new Uri(address.Uri, "/v2/");
        for (var delay = FirstDelay; ; delay = Interval)
        {
            await Task.Delay(delay, time, stoppingToken);
            if (await AnsweringAsync(http, target, stoppingToken) is not { } who)
            {
                continue;
            }

            var isTaken = who != node.Value.Name;
            if (isTaken && !_isTaken)
            {
                Log.Taken(logger, address, who.Length > 0 ? $"the mirror of {who}" : "something that is no mirror");
            }
            else if (!isTaken && _isTaken)
            {
                Log.Back(logger, address);
            }

            _isTaken = isTaken;
        }
    }

    /// <summary>The node whose mirror answers; empty for something else, and null when that cannot be told.</summary>
    private async Task<string?> AnsweringAsync(HttpClient http, Uri target, CancellationToken stopping)
    {
        using var end = new CancellationTokenSource(Budget, time);
        using var attempt = CancellationTokenSource.CreateLinkedTokenSource(end.Token, stopping);
        try
        {
            // Each time by a connection of its own: an open one goes where it went when it was made.
            using var request = new HttpRequestMessage(HttpMethod.Get, target) { Headers = { ConnectionClose = true } };
            using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, attempt.Token);
            return response.Headers.TryGetValues(SpegelHeaders.Holder, out var names) ? names.First() : "";
        }
        catch (HttpRequestException e)
        {
            return e.HttpRequestError is HttpRequestError.InvalidResponse ? "" : null;
        }
        catch (OperationCanceledException) when (!stopping.IsCancellationRequested)
        {
            return null;
        }
    }

    private static partial class Log
    {
        [LoggerMessage(
            LogLevel.Warning,
            "At {Address}, where this node's containerd looks for its mirror, answers {Who}: give the Service that has this node port, or the other program, another port, or the mirror another host port")]
        public static partial void Taken(ILogger logger, BlobAddress address, string who);

        [LoggerMessage(LogLevel.Information, "At {Address} this mirror answers again")]
        public static partial void Back(ILogger logger, BlobAddress address);
    }
}
