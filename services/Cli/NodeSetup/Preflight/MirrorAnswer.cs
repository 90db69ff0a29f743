using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.NodeSetup.Preflight;

/// <summary>Whether it is the mirror that answers at the mirror's address. A Service with that node port takes what is meant for a host port.</summary>
internal static class MirrorAnswer
{
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(3);

    /// <summary>Asks <c>/v2/</c>, to which a mirror of ours says its node's name.</summary>
    /// <param name="mirror">The address.</param>
    /// <param name="node">The node whose mirror it must be; null for any.</param>
    /// <param name="mustAnswer">Whether it is a finding that nobody answers.</param>
    /// <param name="cancellationToken">Ends the question.</param>
    public static async Task<PreflightFinding?> CheckAsync(BlobAddress mirror, NodeName? node, bool mustAnswer, CancellationToken cancellationToken)
    {
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false, AllowAutoRedirect = false }) { Timeout = Budget };
        try
        {
            using var response = await http.GetAsync(new Uri(mirror.Uri, "/v2/"), HttpCompletionOption.ResponseHeadersRead, cancellationToken);
            var name = response.Headers.TryGetValues(SpegelHeaders.Holder, out var names) ? names.First() : null;
            return name is not null && (node is null || name == node.ToString())
                ? new PreflightFinding(Check, true, $"{mirror} is the mirror of {name}.")
                : Taken(mirror, name is null ? "something that is no mirror of spegel-dapr" : $"the mirror of {name}");
        }
        catch (HttpRequestException e) when (e.HttpRequestError is not (HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError))
        {
            return Taken(mirror, "something that does not speak HTTP");
        }
        catch (HttpRequestException e)
        {
            return mustAnswer ? new PreflightFinding(Check, false, $"{mirror} does not answer ({e.Message}): start the mirror, or give its address as --mirror.") : null;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return mustAnswer ? new PreflightFinding(Check, false, $"{mirror} does not answer within {Budget.TotalSeconds} s: start the mirror, or give its address as --mirror.") : null;
        }
    }

    private const string Check = "mirror";

    private static PreflightFinding Taken(BlobAddress mirror, string who) => new(
        Check, false, $"at {mirror} answers {who}, so containerd does not reach this node's mirror: give the Service that has this node port, or the other program, another port, or the mirror another host port.");
}
