using Microsoft.Extensions.Options;
using Microsoft.Win32.SafeHandles;
using SpegelDapr.Contracts;

namespace SpegelDapr.Blob.Local;

/// <summary>
/// The node's own content: <c>blobs/&lt;algorithm&gt;/&lt;hex&gt;</c> below the content path, as containerd's store and an OCI image layout
/// both keep it. A file appears there by rename when it is complete.
/// </summary>
internal sealed partial class LocalContent(IOptions<BlobOptions> options, ContentVerifier verifier, ILogger<LocalContent> logger)
{
    private readonly string _blobs = Path.Combine(Path.GetFullPath(options.Value.ContentPath), "blobs");

    /// <summary>Whether there is a file for this content, whatever is in it.</summary>
    public bool Has(Digest digest) => File.Exists(PathOf(digest));

    /// <summary>The length and time of the file of this content, whatever is in it; null when there is none.</summary>
    public FileIdentity? Identify(Digest digest)
    {
        var file = new FileInfo(PathOf(digest));
        return file.Exists ? new FileIdentity(file.Length, file.LastWriteTimeUtc) : null;
    }

    /// <summary>
    /// Opens content whose bytes match its digest; null when it is absent or does not match. The first time the whole file is hashed
    /// before this returns: a client that received a corrupt byte cannot repair it (containerd continues with a Range after what it has,
    /// and then refuses the whole), so none may leave the node.
    /// </summary>
    public async Task<LocalFile?> OpenAsync(Digest digest, CancellationToken cancellation) =>
        (await OpenAsync(digest, async file => await verifier.MatchesAsync(digest, file, () => TryOpen(digest), cancellation))).File;

    /// <summary>The same for another node, which does not wait for a long check but is told of it.</summary>
    public Task<(LocalFile? File, bool IsChecking)> OpenForPeerAsync(Digest digest, CancellationToken cancellation) =>
        OpenAsync(digest, file => verifier.MatchesForPeerAsync(digest, file, () => TryOpen(digest), cancellation));

    /// <summary>Is told that content has just come whole, and matched, which the node's containerd is about to commit.</summary>
    public void Received(Digest digest, long length) => _ = verifier.ReceivedAsync(digest, length, () => Identify(digest));

    /// <summary>Hashes content in the background that may be asked for soon, where it is present.</summary>
    public void VerifyAhead(Digest digest)
    {
        if (Has(digest))
        {
            _ = verifier.MatchAheadAsync(digest, () => TryOpen(digest));
        }
    }

    /// <summary>When content has come or gone last; the minimum of time when there is none.</summary>
    public DateTime LastChanged() => Algorithms().Select(Directory.GetLastWriteTimeUtc).DefaultIfEmpty().Max();

    /// <summary>The digests of all content, whatever is in it.</summary>
    public IEnumerable<Digest> List()
    {
        foreach (var directory in Algorithms())
        {
            foreach (var file in Directory.EnumerateFiles(directory))
            {
                if (Digest.TryParse($"{Path.GetFileName(directory)}:{Path.GetFileName(file)}", out var digest))
                {
                    yield return digest;
                }
            }
        }
    }

    /// <summary>Opens content without a look at its bytes, which must not leave the node then; null when it is absent or cannot be read.</summary>
    public LocalFile? OpenUnverified(Digest digest) => TryOpen(digest);

    private async Task<(LocalFile? File, bool IsChecking)> OpenAsync(Digest digest, Func<FileIdentity, Task<bool?>> matches)
    {
        var file = TryOpen(digest);
        try
        {
            if (file is null)
            {
                return (null, false);
            }

            var outcome = await matches(file.Identity);
            var verified = outcome is true ? file : null;
            file = verified is null ? file : null;
            return (verified, outcome is null);
        }
        finally
        {
            file?.Dispose();
        }
    }

    private IEnumerable<string> Algorithms() => Directory.Exists(_blobs) ? Directory.EnumerateDirectories(_blobs) : [];

    private string PathOf(Digest digest) => Path.Combine(_blobs, digest.Algorithm, digest.Hex);

    private LocalFile? TryOpen(Digest digest)
    {
        SafeFileHandle? handle = null;
        try
        {
            var file = new FileInfo(PathOf(digest));
            file = file.ResolveLinkTarget(returnFinalTarget: true) as FileInfo ?? file;
            if (!file.Exists)
            {
                return null;
            }

            // Only a regular file has a length. What has none is not opened, since a FIFO would block this thread and a device do as it
            // likes; there is nothing in it to read.
            if (file.Length == 0)
            {
                return new LocalFile(new SafeFileHandle(), new FileIdentity(0, file.LastWriteTimeUtc));
            }

            handle = File.OpenHandle(file.FullName, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            return new LocalFile(handle, new FileIdentity(RandomAccess.GetLength(handle), File.GetLastWriteTimeUtc(handle)));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            handle?.Dispose();
            Log.Unreadable(logger, digest, e.Message);
            return null;
        }
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "Local content {Digest} cannot be read and counts as absent: {Reason}")]
        public static partial void Unreadable(ILogger logger, Digest digest, string reason);
    }
}

/// <summary>What tells whether a file is still the one that was hashed.</summary>
/// <param name="Length">The length in bytes.</param>
/// <param name="Written">When it was last written.</param>
internal readonly record struct FileIdentity(long Length, DateTime Written);

/// <summary>An open file of the node's content. It stays readable when containerd deletes it.</summary>
internal sealed class LocalFile(SafeFileHandle handle, FileIdentity identity) : IDisposable
{
    /// <summary>The length in bytes.</summary>
    public long Length => identity.Length;

    /// <summary>What the file was when it was opened.</summary>
    public FileIdentity Identity => identity;

    /// <summary>Whether somebody has written to it since it was opened.</summary>
    public bool HasChanged => File.GetLastWriteTimeUtc(handle) != identity.Written;

    /// <summary>Reads bytes from the offset on; 0 at the end, which is where it was when the file was opened.</summary>
    public int Read(Span<byte> buffer, long offset)
    {
        var left = Length - offset;
        return left <= 0 ? 0 : RandomAccess.Read(handle, buffer[..(int)Math.Min(buffer.Length, left)], offset);
    }

    /// <summary>Reads the whole into memory.</summary>
    /// <exception cref="EndOfStreamException">The file became shorter.</exception>
    public byte[] ReadAll()
    {
        var bytes = new byte[Length];
        for (var offset = 0; offset < bytes.Length;)
        {
            var read = Read(bytes.AsSpan(offset), offset);
            offset += read > 0 ? read : throw new EndOfStreamException();
        }

        return bytes;
    }

    /// <inheritdoc/>
    public void Dispose() => handle.Dispose();
}
