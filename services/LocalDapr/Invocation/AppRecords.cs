using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics;
using System.Text.Json;

namespace SpegelDapr.LocalDapr.Invocation;

/// <summary>
/// Name resolution between processes: a file per app instance, <c>{app.namespace}@{process id}-{port}.json</c>, in a directory that only its user
/// can read. A record counts while its process lives.
/// </summary>
internal sealed partial class AppRecords(string directory, TimeProvider time, ILogger<AppRecords> logger)
{
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<string, (long Read, ImmutableArray<AppAddress> Addresses)> _found = new();

    /// <summary>Writes a record, which disposing the result removes.</summary>
    public IDisposable Add(string appId, AppAddress address)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(directory);
        }
        else
        {
            Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        var path = Path.Combine(directory, $"{appId}@{Environment.ProcessId}-{address.Port}.json");
        using var self = Process.GetCurrentProcess();
        var temporary = path + ".new";
        File.WriteAllBytes(temporary, JsonSerializer.SerializeToUtf8Bytes(new Entry(address, self.Id, self.StartTime.ToUniversalTime())));
        File.Move(temporary, path, overwrite: true);
        return new Record(path);
    }

    /// <summary>The instances that live; read again once a second, and each time while there are none.</summary>
    public ImmutableArray<AppAddress> Find(string appId)
    {
        if (_found.TryGetValue(appId, out var found) && !found.Addresses.IsEmpty && time.GetElapsedTime(found.Read) < Fresh)
        {
            return found.Addresses;
        }

        var addresses = Directory.Exists(directory)
            ? Directory.EnumerateFiles(directory, $"{appId}@*.json").Order(StringComparer.Ordinal).Select(Read).OfType<AppAddress>().ToImmutableArray()
            : [];
        _found[appId] = (time.GetTimestamp(), addresses);
        return addresses;
    }

    private AppAddress? Read(string path)
    {
        try
        {
            var entry = JsonSerializer.Deserialize<Entry>(File.ReadAllBytes(path))!;
            if (Lives(entry))
            {
                return entry.Address;
            }

            File.Delete(path);
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            Log.Unreadable(logger, path, e.Message);
        }

        return null;
    }

    private static bool Lives(Entry entry)
    {
        try
        {
            using var process = Process.GetProcessById(entry.ProcessId);
            return (process.StartTime.ToUniversalTime() - entry.StartTime).Duration() < TimeSpan.FromSeconds(1);
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException)
        {
            return false;
        }
    }

    private sealed record Entry(AppAddress Address, int ProcessId, DateTime StartTime);

    private sealed class Record(string path) : IDisposable
    {
        public void Dispose() => File.Delete(path);
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "The record of an app in {Path} cannot be read: {Reason}")]
        public static partial void Unreadable(ILogger logger, string path, string reason);
    }
}
