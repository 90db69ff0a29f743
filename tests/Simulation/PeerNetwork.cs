using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using SpegelDapr.Blob.Peers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Simulation;

/// <summary>
/// The network as a node's requests to others see it. What another node answers is what its PeerEndpoint does: complete content, or what has come of it, to one
/// who follows.
/// </summary>
internal sealed class PeerNetwork(Swarm swarm, Node asker) : HttpMessageHandler
{
    /// <summary>Timers know no parts of a millisecond.</summary>
    private static readonly TimeSpan RoundTrip = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(10);

    /// <inheritdoc/>
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        await Task.Delay(RoundTrip, swarm.Time, cancellationToken);
        var node = swarm.NodeAt(request.RequestUri!.Host);
        if (node.IsDead)
        {
            await RefuseAsync(node, cancellationToken);
        }

        if (request.RequestUri.AbsolutePath == "/v2/")
        {
            return new HttpResponseMessage(HttpStatusCode.OK);
        }

        var follows = request.Headers.Contains(SpegelHeaders.Follow);
        return request.Method == HttpMethod.Get ? await GiveAsync(node, request, follows, cancellationToken)
            : follows ? TellProgress(node)
            : new HttpResponseMessage(HttpStatusCode.NotFound);
    }

    /// <summary>A machine without power says nothing, and one without the process refuses.</summary>
    private async Task RefuseAsync(Node node, CancellationToken cancellation)
    {
        if (node.IsSilent)
        {
            await Task.Delay(swarm.BlobOptions.Value.PeerConnectBudget, swarm.Time, cancellation);
            throw new TaskCanceledException("It cannot be reached.", new TimeoutException());
        }

        throw new HttpRequestException("Connection refused");
    }

    private HttpResponseMessage TellProgress(Node node)
    {
        swarm.Result.ProgressQuestions++;
        if (node.StartedAt is null)
        {
            return new HttpResponseMessage(HttpStatusCode.NotFound);
        }

        var response = new HttpResponseMessage(HttpStatusCode.OK);
        response.Headers.Add(SpegelHeaders.Progress, node.Available.ToString(CultureInfo.InvariantCulture));
        if (!node.IsComplete && node.Feeds.ParentOf(swarm.Digest) is var (parent, _))
        {
            response.Headers.Add(SpegelHeaders.Source, parent.Name.ToString());
        }

        if (node.Fed.FastestOf(node.Fastest) is { } fastest)
        {
            response.Headers.Add(SpegelHeaders.Fastest, ((long)fastest).ToString(CultureInfo.InvariantCulture));
        }

        return response;
    }

    private async Task<HttpResponseMessage> GiveAsync(Node node, HttpRequestMessage request, bool follows, CancellationToken cancellation)
    {
        if (!node.IsComplete && node.Feeds.ParentOf(swarm.Digest)?.Node.Name == asker.Identity.Name)
        {
            return Decline([]);
        }

        if (!node.IsComplete && !(follows && await HasBegunAsync(node, cancellation)))
        {
            return new HttpResponseMessage(HttpStatusCode.NotFound);
        }

        var range = request.Headers.Range;
        var (from, total) = (range?.Ranges.Single().From ?? 0, swarm.Plan.Bytes);
        if (!node.IsComplete && request.Headers.Contains(SpegelHeaders.Refer) && from > node.Available + Body.LeastBehindBytes)
        {
            return Decline([]);
        }

        if (node.Fed.TryBegin(swarm.Digest, total, asker.Identity.Name, request.Headers.Contains(SpegelHeaders.Refer), address: null) is not { } fed)
        {
            return Decline(node.Fed.Of(swarm.Digest));
        }

        var body = new Body(swarm, node, asker, from, fed);
        var response = new HttpResponseMessage(range is null ? HttpStatusCode.OK : HttpStatusCode.PartialContent) { Content = new StreamContent(body) };
        response.Content.Headers.ContentLength = total - from;
        if (range is not null)
        {
            response.Content.Headers.ContentRange = new ContentRangeHeaderValue(from, total - 1, total);
        }

        if (!node.IsComplete)
        {
            response.Headers.Add(SpegelHeaders.Relayed, "1");
        }

        body.Begin();
        return response;
    }

    private static HttpResponseMessage Decline(IEnumerable<NodeName> referrals)
    {
        var response = new HttpResponseMessage(HttpStatusCode.ServiceUnavailable);
        response.Headers.TryAddWithoutValidation(SpegelHeaders.Declined, NodeNames.Join(referrals));
        return response;
    }

    /// <summary>Whether the node is downloading the content, for which is waited a little.</summary>
    private async Task<bool> HasBegunAsync(Node node, CancellationToken cancellation)
    {
        var asked = swarm.Time.GetTimestamp();
        while (node.StartedAt is null && swarm.Time.GetElapsedTime(asked) < swarm.BlobOptions.Value.PeerConnectBudget)
        {
            await Task.Delay(Interval, swarm.Time, cancellation);
        }

        return node is { StartedAt: not null, IsDead: false };
    }
}
