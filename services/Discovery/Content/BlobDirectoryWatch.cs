using SpegelDapr.Contracts;

namespace SpegelDapr.Discovery.Content;

/// <summary>
/// Tells when files come to or go from <c>blobs/&lt;algorithm&gt;</c>, in containerd's content store and in an OCI image layout alike. A file
/// appears there complete, by rename. Directories that are not there yet are waited for: containerd makes them with its first content.
/// </summary>
internal sealed partial class BlobDirectoryWatch : IDisposable
{
    private static readonly TimeSpan AttachInterval = TimeSpan.FromMilliseconds(250);
    private static readonly string[] Algorithms = ["sha256", "sha512"];

    private readonly string _contentPath;
    private readonly Action<Digest?> _changed;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, FileSystemWatcher> _watchers = [];
    private readonly ITimer _attaching;
    private bool _failing;
    private bool _disposed;

    /// <summary>Starts to watch.</summary>
    /// <param name="contentPath">The directory that holds <c>blobs</c>.</param>
    /// <param name="changed">Is given the digest whose file has come or gone, or null when anything may have; on any thread.</param>
    /// <param name="time">The time.</param>
    /// <param name="logger">Where trouble is logged.</param>
    public BlobDirectoryWatch(string contentPath, Action<Digest?> changed, TimeProvider time, ILogger logger)
    {
        (_contentPath, _changed, _logger) = (contentPath, changed, logger);
        Attach(isFirst: true);
        _attaching = time.CreateTimer(_ => Attach(isFirst: false), null, AttachInterval, AttachInterval);
    }

    public void Dispose()
    {
        _attaching.Dispose();
        lock (_lock)
        {
            _disposed = true;
            foreach (var watcher in _watchers.Values)
            {
                watcher.Dispose();
            }

            _watchers.Clear();
        }
    }

    /// <summary>Watches the directories that are not watched yet. What is in one that appeared later has come unseen.</summary>
    private void Attach(bool isFirst)
    {
        List<string> attached = [];
        lock (_lock)
        {
            attached.AddRange(Algorithms.Where(algorithm => !_disposed && !_watchers.ContainsKey(algorithm) && TryAttach(algorithm)));
        }

        if (attached.Count == 0)
        {
            return;
        }

        _changed(null);
        foreach (var algorithm in isFirst ? [] : attached)
        {
            try
            {
                foreach (var file in Directory.EnumerateFiles(Path.Combine(_contentPath, "blobs", algorithm)))
                {
                    OnChanged(algorithm, Path.GetFileName(file));
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It has gone again: it is waited for as before. Nobody else would catch this, and it would end the process.
                Detach(algorithm);
            }
        }
    }

    private bool TryAttach(string algorithm)
    {
        var directory = Path.Combine(_contentPath, "blobs", algorithm);
        if (!Directory.Exists(directory))
        {
            return false;
        }

        FileSystemWatcher? watcher = null;
        try
        {
            watcher = new FileSystemWatcher(directory) { NotifyFilter = NotifyFilters.FileName, InternalBufferSize = 64 * 1024 };
            watcher.Created += (_, e) => OnChanged(algorithm, e.Name);
            watcher.Deleted += (_, e) => OnChanged(algorithm, e.Name);
            watcher.Renamed += (_, e) =>
            {
                OnChanged(algorithm, e.OldName);
                OnChanged(algorithm, e.Name);
            };
            watcher.Error += (_, e) => OnError(algorithm, e.GetException());
            watcher.EnableRaisingEvents = true;
            _watchers.Add(algorithm, watcher);
            _failing = false;
            return true;
        }
        catch (Exception e) when (e is IOException or ArgumentException or UnauthorizedAccessException)
        {
            watcher?.Dispose();
            if (!_failing)
            {
                Log.CannotWatch(_logger, directory, e.Message);
            }

            _failing = true;
            return false;
        }
    }

    private void OnChanged(string algorithm, string? name)
    {
        if (Digest.TryParse($"{algorithm}:{name}", out var digest))
        {
            _changed(digest);
        }
    }

    /// <summary>Events have been lost, or the directory has: attach again, which looks at everything.</summary>
    private void OnError(string algorithm, Exception exception)
    {
        Log.EventsLost(_logger, Path.Combine(_contentPath, "blobs", algorithm), exception.Message);
        Detach(algorithm);
    }

    private void Detach(string algorithm)
    {
        lock (_lock)
        {
            if (_watchers.Remove(algorithm, out var watcher))
            {
                watcher.Dispose();
            }
        }
    }

    private static partial class Log
    {
        [LoggerMessage(
            Level = LogLevel.Warning,
            Message = "Cannot watch {Directory}: {Reason}. Layers are announced when their image is complete, until it can be watched; check the limits fs.inotify.max_user_instances and max_user_watches")]
        public static partial void CannotWatch(ILogger logger, string directory, string reason);

        [LoggerMessage(Level = LogLevel.Warning, Message = "Events of {Directory} have been lost and all content is listed again: {Reason}")]
        public static partial void EventsLost(ILogger logger, string directory, string reason);
    }
}
