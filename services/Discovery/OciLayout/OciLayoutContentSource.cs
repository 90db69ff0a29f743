using System.Threading.Channels;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Content;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Discovery.OciLayout;

/// <summary>
/// The content of an OCI image layout (the image specification's image-layout.md): what is in <c>blobs</c>, and the tags that
/// <c>index.json</c> gives as full references. Files must appear complete, by rename.
/// </summary>
/// <remarks>A layout does not say where its content came from, so the registry filter applies to its tags only.</remarks>
internal sealed partial class OciLayoutContentSource(
    IOptions<OciLayoutOptions> options,
    RegistryFilter filter,
    DiscoveryMetrics metrics,
    TimeProvider time,
    ILogger<OciLayoutContentSource> logger) : IContentSource
{
    private const string IndexFile = "index.json";

    /// <summary>The annotation in which containerd, when it writes a layout, keeps the full reference and leaves the tag to the specification's own one.</summary>
    private const string ImageNameAnnotation = "io.containerd.image.name";

    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);

    private volatile bool _isReadable;

    /// <summary>The tags last read, so that one that has not moved keeps its time.</summary>
    private IReadOnlyDictionary<ContentKey, HeldKey> _tags = new Dictionary<ContentKey, HeldKey>();

    public bool IsReadable => _isReadable;

    public async Task WatchAsync(Action<ContentChange> report, CancellationToken cancellationToken)
    {
        var isKnownUnreadable = false;
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                await WatchDirectoryAsync(report, cancellationToken);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
            {
                if (_isReadable || !isKnownUnreadable)
                {
                    Log.Unreadable(logger, options.Value.Path, e.Message);
                }

                isKnownUnreadable = true;
            }
            finally
            {
                _isReadable = false;
            }

            await Task.Delay(RetryDelay, time, cancellationToken);
        }
    }

    private async Task WatchDirectoryAsync(Action<ContentChange> report, CancellationToken cancellationToken)
    {
        var changes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
        void Changed() => changes.Writer.TryWrite(true);
        using var blobs = new BlobDirectoryWatch(options.Value.Path, _ => Changed(), time, logger);
        using var index = new FileSystemWatcher(options.Value.Path, IndexFile) { NotifyFilter = NotifyFilters.FileName | NotifyFilters.LastWrite };
        index.Created += (_, _) => Changed();
        index.Changed += (_, _) => Changed();
        index.Deleted += (_, _) => Changed();
        index.Renamed += (_, _) => Changed();
        index.Error += (_, e) => changes.Writer.TryComplete(new IOException(e.GetException().Message));
        index.EnableRaisingEvents = true;

        Changed();
        await foreach (var _ in changes.Reader.ReadAllAsync(cancellationToken))
        {
            report(new ContentListed(List()));
            metrics.Listed();
            if (!_isReadable)
            {
                _isReadable = true;
                Log.Watching(logger, options.Value.Path);
            }
        }
    }

    private List<HeldKey> List()
    {
        var tags = ReadTags();
        var digests = Digests().ToHashSet();
        _tags = tags.Where(tag => digests.Contains(tag.Digest!.Value)).ToDictionary(tag => tag.Key);
        return [.. digests.Select(digest => new HeldKey(digest)), .. _tags.Values];
    }

    private IEnumerable<Digest> Digests()
    {
        var blobs = new DirectoryInfo(Path.Combine(options.Value.Path, "blobs"));
        foreach (var algorithm in blobs.Exists ? blobs.EnumerateDirectories() : [])
        {
            foreach (var file in algorithm.EnumerateFiles())
            {
                if (Digest.TryParse($"{algorithm.Name}:{file.Name}", out var digest))
                {
                    yield return digest;
                }
            }
        }
    }

    /// <summary>The tags of index.json. While it is being written over and cannot be parsed, those read before.</summary>
    private IEnumerable<HeldKey> ReadTags()
    {
        var path = Path.Combine(options.Value.Path, IndexFile);
        if (!File.Exists(path))
        {
            return [];
        }

        // Time and content of the same file: it may be replaced by another between two opens.
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var updatedAt = new DateTimeOffset(File.GetLastWriteTimeUtc(file.SafeFileHandle));
        var json = new byte[file.Length];
        var read = file.ReadAtLeast(json, json.Length, throwOnEndOfStream: false);
        if (OciManifest.TryParse(json.AsSpan(0, read)) is not { Manifests: { } manifests })
        {
            Log.NoIndex(logger, path);
            return _tags.Values;
        }

        return manifests
            .SelectMany(manifest => new[] { ImageNameAnnotation, OciDescriptor.RefNameAnnotation }
                .Select(annotation => manifest.Annotations?.GetValueOrDefault(annotation))
                .Where(IsAllowedTag)
                .Select(name => ContentKey.Parse(name!))
                .Select(key => _tags.GetValueOrDefault(key) is { } known && known.Digest == manifest.Digest ? known : new HeldKey(key, manifest.Digest, updatedAt)))
            .DistinctBy(tag => tag.Key);
    }

    private bool IsAllowedTag(string? name) =>
        ContentKey.TryParse(name, out var key) && key.IsTag && filter.IsAllowed(ImageReference.Parse(name!));

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Information, Message = "Watching the OCI image layout {Path}")]
        public static partial void Watching(ILogger logger, string path);

        [LoggerMessage(Level = LogLevel.Warning, Message = "The OCI image layout {Path} cannot be read and is tried again; what it held stays announced: {Reason}")]
        public static partial void Unreadable(ILogger logger, string path, string reason);

        [LoggerMessage(Level = LogLevel.Warning, Message = "{File} is not an OCI image index, so its tags stay as they were")]
        public static partial void NoIndex(ILogger logger, string file);
    }
}
