using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using SpegelDapr.Cli.Images;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Demo;

/// <summary>A small read-only registry over an image layout, in the place of the internet's: GET and HEAD of the OCI distribution API.</summary>
internal static class UpstreamRegistry
{
    /// <summary>Maps the registry, in which <paramref name="image"/> is the layout's <paramref name="manifest"/>.</summary>
    public static void MapRegistry(this WebApplication app, OciLayout layout, ImageReference image, OciDescriptor manifest)
    {
        string[] methods = [HttpMethods.Get, HttpMethods.Head];
        app.MapMethods("/v2/", methods, () => Results.Ok());
        app.MapMethods($"/v2/{image.Repository}/manifests/{{reference}}", methods, (string reference) =>
            reference == image.Tag ? Content(manifest.Digest, manifest.MediaType)
            : Digest.TryParse(reference, out var digest) && File.Exists(layout.BlobPath(digest)) ? Content(digest, layout.ReadManifest(digest).EffectiveMediaType!)
            : Missing("MANIFEST_UNKNOWN", reference));
        app.MapMethods($"/v2/{image.Repository}/blobs/{{reference}}", methods, (string reference) =>
            Digest.TryParse(reference, out var digest) && File.Exists(layout.BlobPath(digest)) ? Content(digest, "application/octet-stream") : Missing("BLOB_UNKNOWN", reference));

        IResult Content(Digest digest, string mediaType) => new WithDigest(digest, Results.File(layout.BlobPath(digest), mediaType, enableRangeProcessing: true));
    }

    private static IResult Missing(string code, string reference) =>
        Results.Json(new { errors = new[] { new { code, message = $"no such content: {reference}" } } }, statusCode: StatusCodes.Status404NotFound);

    private sealed class WithDigest(Digest digest, IResult result) : IResult
    {
        public Task ExecuteAsync(HttpContext httpContext)
        {
            httpContext.Response.Headers["Docker-Content-Digest"] = digest.ToString();
            return result.ExecuteAsync(httpContext);
        }
    }
}
