using System.Text.Json;
using System.Text.Json.Serialization;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Http;

/// <summary>
/// An answer that refuses a request, in the OCI distribution specification's form
/// (spec.md, "Error Codes"): <c>{"errors":[{"code":…,"message":…}]}</c>, with one of its codes.
/// </summary>
internal sealed record OciError(int Status, string Code, string Message)
{
    public static OciError NoSuchEndpoint { get; } = new(
        StatusCodes.Status404NotFound,
        "UNSUPPORTED",
        "There are only /v2/, /v2/<name>/manifests/<reference>, /v2/<name>/blobs/<digest> and /v2/<name>/referrers/<digest>.");

    public static OciError ReadOnly { get; } = new(
        StatusCodes.Status405MethodNotAllowed, "UNSUPPORTED", "This mirror only answers GET and HEAD.");

    public static OciError NoBodyExpected { get; } = new(
        StatusCodes.Status413PayloadTooLarge, "SIZE_INVALID", "A request to this mirror has no body.");

    public static OciError InvalidName { get; } = new(
        StatusCodes.Status400BadRequest,
        "NAME_INVALID",
        "A repository's name is lower-case components joined by slashes, without percent-encoding, at most 255 characters.");

    public static OciError InvalidRegistry { get; } = new(
        StatusCodes.Status400BadRequest, "NAME_INVALID", "The ns parameter is one registry, host or host:port.");

    public static OciError InvalidDigest { get; } = new(StatusCodes.Status400BadRequest, "DIGEST_INVALID", $"Give {Digest.Form}.");

    /// <summary>The specification's conformance suite wants 404: what cannot be a reference is nobody's.</summary>
    public static OciError InvalidTag { get; } = new(
        StatusCodes.Status404NotFound,
        "MANIFEST_UNKNOWN",
        $"A manifest's reference is a tag of at most 128 characters of [A-Za-z0-9_.-], or {Digest.Form}.");

    public static OciError InvalidKey { get; } = new(StatusCodes.Status400BadRequest, "MANIFEST_INVALID", $"Give the parameter key: {ContentKey.Form}.");

    public static OciError NotMirrored(string registry) => new(
        StatusCodes.Status404NotFound, "NAME_UNKNOWN", $"{registry} is not mirrored here.");

    public static OciError TagWithoutRegistry { get; } = new(
        StatusCodes.Status404NotFound, "MANIFEST_UNKNOWN", "A tag is only known together with its registry: let it be the first part of the name, or give the ns parameter.");

    public static OciError Unknown(ContentKind kind) => kind == ContentKind.Manifest
        ? new(StatusCodes.Status404NotFound, "MANIFEST_UNKNOWN", "No node in reach holds this manifest.")
        : new(StatusCodes.Status404NotFound, "BLOB_UNKNOWN", "No node in reach holds this blob.");

    public static OciError StillChecking { get; } = new(
        StatusCodes.Status503ServiceUnavailable, "BLOB_UNKNOWN", "This node has the blob and is still checking it; ask again in a moment.");

    public static OciError OutsideBoundary { get; } = new(
        StatusCodes.Status403Forbidden, "DENIED", "This node serves only nodes inside its boundary.");

    public static OciError OnlyForTheNode { get; } = new(
        StatusCodes.Status403Forbidden, "DENIED", "Only the node itself is told what it has pulled: ask on the node, or add your network to Blob:Clients.");

    public static OciError RangeNotSatisfiable(long length) => new(
        StatusCodes.Status416RangeNotSatisfiable, "SIZE_INVALID", $"The range begins beyond the content's {length} bytes.");

    public static OciError Unavailable { get; } = new(
        StatusCodes.Status503ServiceUnavailable, "UNSUPPORTED", "The mirror could not answer; ask the registry.");

    public static OciError Declined { get; } = new(
        StatusCodes.Status503ServiceUnavailable, "TOOMANYREQUESTS", "This node does not give it to you now; ask another.");

    /// <summary>Sends the error; a HEAD gets its headers.</summary>
    public async Task WriteAsync(HttpResponse response)
    {
        var body = JsonSerializer.SerializeToUtf8Bytes(
            new OciErrorBody([new OciErrorEntry(Code, Message)]), OciErrorJson.Default.OciErrorBody);
        response.StatusCode = Status;
        response.ContentType = "application/json";
        response.ContentLength = body.Length;
        if (Status == StatusCodes.Status405MethodNotAllowed)
        {
            response.Headers.Allow = "GET, HEAD";
        }

        if (!HttpMethods.IsHead(response.HttpContext.Request.Method))
        {
            await response.Body.WriteAsync(body, response.HttpContext.RequestAborted);
        }
    }
}

/// <summary>The JSON of an error's body.</summary>
internal sealed record OciErrorBody(IReadOnlyList<OciErrorEntry> Errors);

/// <summary>One error in a body.</summary>
internal sealed record OciErrorEntry(string Code, string Message);

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web)]
[JsonSerializable(typeof(OciErrorBody))]
internal sealed partial class OciErrorJson : JsonSerializerContext;
