using Microsoft.Extensions.Caching.Memory;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Planning;

/// <summary>What manifests that have passed by say of the content they refer to, which is asked for next: its size and its registry.</summary>
internal sealed class ManifestMemory : IDisposable
{
    /// <summary>The size that is assumed of content that no manifest has told of.</summary>
    public const long TypicalBytes = 4 * 1024 * 1024;

    private const int MostRemembered = 50_000;

    private readonly MemoryCache _content = new(new MemoryCacheOptions { SizeLimit = MostRemembered });

    /// <summary>Takes in a manifest that came from a registry; null when that was not said.</summary>
    public void Add(OciManifest manifest, string? registry)
    {
        foreach (var child in manifest.Children)
        {
            _content.Set(child.Digest, new KnownContent(child.Size, registry), new MemoryCacheEntryOptions { Size = 1, SlidingExpiration = TimeSpan.FromHours(1) });
        }
    }

    /// <summary>What is known of content; null when no manifest has told of it.</summary>
    public KnownContent? Recall(Digest digest) => _content.Get<KnownContent>(digest);

    /// <inheritdoc/>
    public void Dispose() => _content.Dispose();
}

/// <summary>Content that a manifest refers to.</summary>
/// <param name="Bytes">Its size.</param>
/// <param name="Registry">The registry of the manifest; null when unknown.</param>
internal sealed record KnownContent(long Bytes, string? Registry);
