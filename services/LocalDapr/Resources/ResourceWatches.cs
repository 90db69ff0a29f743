using System.Collections.Concurrent;

namespace SpegelDapr.LocalDapr.Resources;

/// <summary>Notices changes of resource files. Sidecars of one host share the watch of a directory, of which the system gives a user few.</summary>
internal sealed partial class ResourceWatches(ILogger<ResourceWatches> logger) : IDisposable
{
    private readonly ConcurrentDictionary<string, Lazy<FileSystemWatcher?>> _watchers = new();

    /// <summary>Has <paramref name="changed"/> called after each change of a file in the paths, which are directories or files, until disposed.</summary>
    public IDisposable Watch(IEnumerable<string> paths, Action changed)
    {
        var directories = paths.Select(path => File.Exists(path) ? Path.GetDirectoryName(Path.GetFullPath(path))! : Path.GetFullPath(path)).Distinct();
        var watchers = directories.Select(directory => _watchers.GetOrAdd(directory, path => new(() => Open(path))).Value).OfType<FileSystemWatcher>().ToList();
        return new Watching(watchers, changed);
    }

    public void Dispose()
    {
        foreach (var watcher in _watchers.Values.Where(watcher => watcher.IsValueCreated))
        {
            watcher.Value?.Dispose();
        }
    }

    private FileSystemWatcher? Open(string directory)
    {
        try
        {
            return new FileSystemWatcher(directory) { EnableRaisingEvents = true };
        }
        catch (IOException e)
        {
            Log.NotWatched(logger, directory, e.Message);
            return null;
        }
    }

    private sealed class Watching : IDisposable
    {
        private readonly IReadOnlyList<FileSystemWatcher> _watchers;
        private readonly FileSystemEventHandler _changed;
        private readonly RenamedEventHandler _renamed;

        public Watching(IReadOnlyList<FileSystemWatcher> watchers, Action changed)
        {
            (_watchers, _changed, _renamed) = (watchers, (_, _) => changed(), (_, _) => changed());
            foreach (var watcher in watchers)
            {
                watcher.Changed += _changed;
                watcher.Created += _changed;
                watcher.Deleted += _changed;
                watcher.Renamed += _renamed;
            }
        }

        public void Dispose()
        {
            foreach (var watcher in _watchers)
            {
                watcher.Changed -= _changed;
                watcher.Created -= _changed;
                watcher.Deleted -= _changed;
                watcher.Renamed -= _renamed;
            }
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "Changes of resources in {Directory} are not seen: {Reason}")]
        public static partial void NotWatched(ILogger logger, string directory, string reason);
    }
}
