using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Recording;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Http;

/// <summary>Answers <see cref="RecordedTransfers.Path"/>: 200 with <see cref="RecordedTransfers"/>, 403 with an OCI error to all but the node itself.</summary>
internal sealed class TransfersEndpoint(FlightRecorder recorder, OwnAddresses own, IOptions<NodeOptions> node)
{
    /// <summary>Answers one request.</summary>
    public Task HandleAsync(HttpContext context) =>
        own.Contains(context.Connection.RemoteIpAddress) && !context.Request.Headers.ContainsKey(SpegelHeaders.Peer)
            ? context.Response.WriteAsJsonAsync(
                new RecordedTransfers(node.Value.Identity.Name, node.Value.Location, recorder.Latest),
                ContractsJson.Default.RecordedTransfers,
                cancellationToken: context.RequestAborted)
            : OciError.OnlyForTheNode.WriteAsync(context.Response);
}
