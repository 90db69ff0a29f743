using System.Runtime.InteropServices;
using System.Security.Cryptography;
using SpegelDapr.Cli.Images;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Pull;

/// <summary>
/// Pulls an image as containerd does: from the first source that has each piece, resuming where a connection broke, checking every
/// digest.
/// </summary>
/// <param name="sources">Where to look, in order: the mirror, then upstream.</param>
/// <param name="target">Where to keep what was pulled.</param>
/// <param name="time">Measures.</param>
internal sealed class ImagePuller(IReadOnlyList<RegistrySource> sources, OciLayout target, TimeProvider time)
{
    private const string Manifests = "manifests";
    private const string Blobs = "blobs";

    /// <summary>containerd's <c>max_concurrent_downloads</c>.</summary>
    private const int ConcurrentLayers = 3;

    /// <summary>How often one blob may break off before the pull fails.</summary>
    private const int MaxAttempts = 4;

    /// <summary>Pulls the image for this machine's architecture and tags it in the target.</summary>
    /// <exception cref="UserErrorException">No source has it, or content does not match its digest.</exception>
    public async Task<PullResult> PullAsync(ImageReference image, IPullProgress progress, CancellationToken cancellationToken)
    {
        var start = time.GetTimestamp();
        var fetched = new List<FetchedBlob>();
        var expected = image.Digest is { } digest ? new OciDescriptor("", digest, 0) : null;
        var root = await FetchManifestAsync(image, image.TagOrDigest, expected, fetched, progress, cancellationToken);
        var manifest = target.ReadManifest(root.Digest);
        if (manifest.Manifests is { } platforms)
        {
            var chosen = ChoosePlatform(image, platforms);
            await FetchManifestAsync(image, chosen.Digest.ToString(), chosen, fetched, progress, cancellationToken);
            manifest = target.ReadManifest(chosen.Digest);
        }

        await Parallel.ForEachAsync(
            manifest.Children.DistinctBy(child => child.Digest),
            new ParallelOptions { MaxDegreeOfParallelism = ConcurrentLayers, CancellationToken = cancellationToken },
            async (child, ct) =>
            {
                var blob = await FetchAsync(image, Blobs, child.Digest.ToString(), child, progress, ct);
                lock (fetched)
                {
                    fetched.Add(blob);
                }
            });

        target.Tag(image, root);
        return new PullResult(image.ToString(), time.GetElapsedTime(start).TotalSeconds, TierBytes.Of(fetched), fetched.Sum(blob => blob.Relayed), fetched);
    }

    /// <summary>The manifest for this machine.</summary>
    /// <exception cref="UserErrorException">There is none.</exception>
    public static OciDescriptor ChoosePlatform(ImageReference image, IReadOnlyList<OciDescriptor> platforms)
    {
        var architecture = RuntimeInformation.OSArchitecture switch
        {
            Architecture.X64 => "amd64",
            Architecture.X86 => "386",
            var other => other.ToString().ToLowerInvariant(),
        };
        return platforms.FirstOrDefault(platform => platform.Platform is { Os: "linux" } p && p.Architecture == architecture)
            ?? (platforms is [{ Platform: null } only] ? only : null)
            ?? throw new UserErrorException($"{image} has no manifest for linux/{architecture}; it has: {string.Join(", ", platforms.Select(p => $"{p.Platform?.Os}/{p.Platform?.Architecture}"))}.");
    }

    private async Task<OciDescriptor> FetchManifestAsync(
        ImageReference image, string reference, OciDescriptor? expected, List<FetchedBlob> fetched, IPullProgress progress, CancellationToken cancellationToken)
    {
        var blob = await FetchAsync(image, Manifests, reference, expected, progress, cancellationToken);
        fetched.Add(blob);
        return new OciDescriptor(blob.MediaType, blob.Digest, blob.Size);
    }

    /// <summary>What containerd would call a download (its MakeRefKey).</summary>
    private static string IngestKey(string kind, string reference, string? mediaType) => mediaType switch
    {
        OciMediaTypes.Index or OciMediaTypes.DockerManifestList => "index",
        OciMediaTypes.Config or OciMediaTypes.DockerConfig => "config",
        _ => kind == Manifests ? "manifest" : "layer",
    } + $"-{reference}";

    private async Task<FetchedBlob> FetchAsync(
        ImageReference image, string kind, string reference, OciDescriptor? expected, IPullProgress progress, CancellationToken cancellationToken)
    {
        var start = time.GetTimestamp();
        var algorithm = expected?.Digest.HashAlgorithm ?? HashAlgorithmName.SHA256;
        using var hash = IncrementalHash.CreateHash(algorithm);

        // containerd has its writer before it asks, and so it is found by those who follow.
        await using var ingest = Ingest.Begin(target, IngestKey(kind, reference, expected?.MediaType), expected?.Size);
        for (var attempt = 1; attempt <= MaxAttempts; attempt++)
        {
            using var content = await OpenAsync(image, kind, reference, ingest.Length, cancellationToken);
            if (!await TryCopyAsync(content.Response, ingest, hash, reference, progress, cancellationToken))
            {
                continue;
            }

            var digest = Digest.FromHash(algorithm, hash.GetHashAndReset());
            if (expected is not null && digest != expected.Digest)
            {
                throw new UserErrorException($"{image}: {kind}/{reference} from {content.Holder ?? content.Tier.Name()} has the digest {digest}.");
            }

            ingest.Commit(digest);
            var mediaType = expected is { MediaType.Length: > 0 } ? expected.MediaType : content.Response.Content.Headers.ContentType?.MediaType ?? "";
            return new FetchedBlob(
                digest,
                mediaType,
                ingest.Length,
                content.Tier,
                content.Holder,
                time.GetElapsedTime(start).TotalSeconds,
                content.IsRelayed ? ingest.Length : 0);
        }

        throw new UserErrorException($"{image}: {kind}/{reference} broke off {MaxAttempts} times, at last after {ingest.Length} bytes.");
    }

    /// <summary>Whether the whole body came; false when the connection broke, and what did come has been taken in.</summary>
    private static async Task<bool> TryCopyAsync(
        HttpResponseMessage response, Ingest ingest, IncrementalHash hash, string reference, IPullProgress progress, CancellationToken cancellationToken)
    {
        var total = response.Content.Headers.ContentRange?.Length ?? ingest.Length + response.Content.Headers.ContentLength;
        ingest.Expect(total);
        var buffer = new byte[128 * 1024];
        await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
        try
        {
            int read;
            while ((read = await body.ReadAsync(buffer, cancellationToken)) > 0)
            {
                hash.AppendData(buffer, 0, read);
                await ingest.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
                progress.Report(reference, ingest.Length, total);
            }

            return true;
        }
        catch (Exception e) when (e is IOException or HttpRequestException)
        {
            return false;
        }
    }

    private async Task<RegistryContent> OpenAsync(ImageReference image, string kind, string reference, long offset, CancellationToken cancellationToken)
    {
        var failures = new List<string>();
        foreach (var source in sources)
        {
            try
            {
                if (await source.OpenAsync(image, kind, reference, offset, cancellationToken) is { } content)
                {
                    return content;
                }

                failures.Add($"{source.Address} does not have it");
            }
            catch (HttpRequestException e)
            {
                failures.Add(e.Message);
            }
        }

        throw new UserErrorException($"{image}: no source for {kind}/{reference}: {string.Join("; ", failures)}.");
    }
}
