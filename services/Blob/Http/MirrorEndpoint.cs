using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Recording;
using SpegelDapr.Blob.Transfers;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Http;

/// <summary>Reads every request on the mirror's port, and has it answered: one of another node by <see cref="PeerEndpoint"/>, any other by <see cref="NodeEndpoint"/>.</summary>
internal sealed partial class MirrorEndpoint(
    NodeEndpoint nodes, PeerEndpoint peers, RegistryFilter registries, IOptions<NodeOptions> node, FlightRecorder recorder, BlobMetrics metrics, ILogger<MirrorEndpoint> logger)
{
    private readonly NodeName _node = node.Value.Identity.Name;

    /// <summary>Answers one request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        var target = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        if (RefusalOf(context) is { } refusal)
        {
            await refusal.WriteAsync(context.Response);
        }
        else if (MirrorRequest.IsBase(target))
        {
            context.Response.ContentType = "application/json";
            context.Response.Headers[SpegelHeaders.Holder] = _node.ToString();
            context.Response.ContentLength = 2;
            await context.Response.WriteAsync("{}", context.RequestAborted);
        }
        else if (MirrorRequest.TryParse(target, out var request, out var error))
        {
            await AnswerAndCountAsync(context, request);
        }
        else
        {
            await error.WriteAsync(context.Response);
        }
    }

    private static OciError? RefusalOf(HttpContext context) =>
        !HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method) ? OciError.ReadOnly
        : context.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody == true ? OciError.NoBodyExpected
        : null;

    private async Task AnswerAndCountAsync(HttpContext context, MirrorRequest request)
    {
        var fromPeer = context.Request.Headers.ContainsKey(SpegelHeaders.Peer);
        var outcome = RequestOutcome.Broken;
        var recording = fromPeer ? null : recorder.Begin(request);
        try
        {
            outcome = request.Registry is { } registry && !registries.IsAllowed(registry, request.Repository, request.Tag)
                ? await ContentSender.MissAsync(context, OciError.NotMirrored(registry))
                : recording is null ? await peers.AnswerAsync(context, request)
                : await nodes.AnswerAsync(context, request, recording);
        }
        catch (Exception) when (context.RequestAborted.IsCancellationRequested)
        {
            outcome = RequestOutcome.Aborted;
        }
        catch (Exception e) when (!context.Response.HasStarted)
        {
            Log.Failed(logger, e, request);
            context.Response.Clear();
            await OciError.Unavailable.WriteAsync(context.Response);
        }
        catch (Exception e) when (e is IOException or PeersExhaustedException or CorruptContentException)
        {
            // Kestrel then closes the connection as if all had been sent, which is an unexpected EOF, after which containerd asks the next
            // host for the rest. HttpContext.Abort would reset the connection, upon which containerd gives up the pull (httpreadseeker.go).
            Log.Cut(logger, request, e.Message);
            throw;
        }
        finally
        {
            if (recording is not null)
            {
                recorder.End(recording, outcome);
            }

            metrics.Request(outcome, request.Kind, fromPeer);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "{Request} is cut short, so that containerd continues elsewhere: {Reason}")]
        public static partial void Cut(ILogger logger, MirrorRequest request, string reason);

        [LoggerMessage(LogLevel.Error, "{Request} failed")]
        public static partial void Failed(ILogger logger, Exception exception, MirrorRequest request);
    }
}
