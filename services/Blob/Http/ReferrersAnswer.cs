using System.Text.Json;
using Microsoft.AspNetCore.Http.Extensions;
using SpegelDapr.Blob.Local;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Http;

/// <summary>
/// Answers which manifests refer to one, as far as the node has them (OCI distribution specification, "Listing Referrers"): 200 with an index, which is empty
/// when there are none, and 503 when that is not known in time. The query's <c>artifactType</c> selects, and may be repeated; <c>last</c> continues after a page.
/// </summary>
internal sealed class ReferrersAnswer(ReferrerIndex index, LocalContent local)
{
    private const string ArtifactType = "artifactType";
    private const string Last = "last";

    /// <summary>A page ends after this number of manifests, or when those read have this length: an index longer than a manifest is not read by clients.</summary>
    private const int MostOfPage = 1000;
    private const int MostBytesOfPage = OciManifest.MaxBytes / 2;

    /// <summary>Writes the answer.</summary>
    public async Task WriteAsync(HttpContext context, Digest subject)
    {
        var (request, response, cancellation) = (context.Request, context.Response, context.RequestAborted);
        if (await index.FindAsync(subject, cancellation) is not { } all)
        {
            await OciError.Unavailable.WriteAsync(response);
            return;
        }

        var types = request.Query[ArtifactType];
        var last = request.Query[Last].ToString();
        var page = new List<OciDescriptor>();
        var (taken, bytes) = (0, 0L);
        var left = all.Where(digest => string.CompareOrdinal(digest.ToString(), last) > 0).ToList();
        while (taken < left.Count && taken < MostOfPage && bytes < MostBytesOfPage)
        {
            var digest = left[taken++];
            if (await DescribeAsync(digest, cancellation) is not { } referrer)
            {
                continue;
            }

            bytes += referrer.Size;
            if (types.Count == 0 || types.Contains(referrer.ArtifactType))
            {
                page.Add(referrer);
            }
        }

        if (types.Count > 0)
        {
            response.Headers["OCI-Filters-Applied"] = ArtifactType;
        }

        if (taken < left.Count)
        {
            var query = new QueryBuilder(request.Query.Where(parameter => parameter.Key != Last)) { { Last, left[taken - 1].ToString() } };
            response.Headers.Link = $"<{request.Path.ToUriComponent()}{query}>; rel=\"next\"";
        }

        var body = JsonSerializer.SerializeToUtf8Bytes(
            new OciManifest { SchemaVersion = 2, MediaType = OciMediaTypes.Index, Manifests = page }, OciJson.Default.OciManifest);
        response.ContentType = OciMediaTypes.Index;
        response.ContentLength = body.Length;
        if (!HttpMethods.IsHead(request.Method))
        {
            await response.Body.WriteAsync(body, cancellation);
        }
    }

    /// <summary>The manifest as the index lists it; null when it is gone, or is not what its digest says.</summary>
    private async Task<OciDescriptor?> DescribeAsync(Digest digest, CancellationToken cancellation)
    {
        using var file = await local.OpenAsync(digest, cancellation);
        return file is not null && OciManifest.TryParse(file.ReadAll()) is { EffectiveMediaType: { } mediaType } manifest
            ? new OciDescriptor(mediaType, digest, file.Length)
            {
                ArtifactType = manifest.ArtifactType is { Length: > 0 } type ? type : manifest.Config?.MediaType,
                Annotations = manifest.Annotations,
            }
            : null;
    }
}
