using System.Net;
using System.Net.Http.Headers;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Pull;

/// <summary>A server of the OCI distribution API to pull from: a mirror, or the upstream registry itself.</summary>
/// <param name="http">Whose base address is the server.</param>
/// <param name="tierWhenUnsaid">The tier of bytes that come without a <see cref="SpegelHeaders.Tier"/> header.</param>
internal sealed class RegistrySource(HttpClient http, Tier tierWhenUnsaid)
{
    /// <summary>Where it is.</summary>
    public Uri Address => http.BaseAddress!;

    /// <summary>
    /// Opens a manifest or blob at <paramref name="offset"/>; null when the server answers that it has none. As containerd does, the
    /// original registry goes along as <c>ns</c>.
    /// </summary>
    /// <param name="image">The image, for its registry and repository.</param>
    /// <param name="kind"><c>manifests</c> or <c>blobs</c>.</param>
    /// <param name="reference">A tag or digest.</param>
    /// <param name="offset">The first byte wanted.</param>
    /// <param name="cancellationToken">Ends the request.</param>
    /// <exception cref="HttpRequestException">The server cannot be reached, or answers neither success nor 404.</exception>
    public async Task<RegistryContent?> OpenAsync(ImageReference image, string kind, string reference, long offset, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, $"v2/{image.Repository}/{kind}/{reference}?ns={Uri.EscapeDataString(image.Registry)}");
        request.Headers.Accept.ParseAdd(string.Join(", ", OciMediaTypes.Manifests.Append("*/*;q=0.1")));
        if (offset > 0)
        {
            request.Headers.Range = new RangeHeaderValue(offset, null);
        }

        var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        if (response.StatusCode == HttpStatusCode.NotFound)
        {
            response.Dispose();
            return null;
        }

        if (response.StatusCode != (offset > 0 ? HttpStatusCode.PartialContent : HttpStatusCode.OK))
        {
            using (response)
            {
                throw new HttpRequestException($"{Address} answered {(int)response.StatusCode} {response.ReasonPhrase} to GET {kind}/{reference}.");
            }
        }

        return new RegistryContent(
            response,
            TierNames.Parse(Header(response, SpegelHeaders.Tier)) ?? tierWhenUnsaid,
            Header(response, SpegelHeaders.Holder),
            Header(response, SpegelHeaders.Relayed) == "1");
    }

    private static string? Header(HttpResponseMessage response, string name) => response.Headers.TryGetValues(name, out var values) ? values.FirstOrDefault() : null;
}

/// <summary>An answer whose body has not been read yet.</summary>
/// <param name="Response">The answer.</param>
/// <param name="Tier">Where its bytes come from.</param>
/// <param name="Holder">The node they come from; null for upstream.</param>
/// <param name="IsRelayed">Whether that node is still downloading them.</param>
internal sealed record RegistryContent(HttpResponseMessage Response, Tier Tier, string? Holder, bool IsRelayed) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Response.Dispose();
}
