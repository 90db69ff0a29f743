using System.Collections.Concurrent;
using System.Collections.Immutable;

namespace SpegelDapr.LocalDapr.Invocation;

/// <summary>Finds the instances of an app: those of this host, or else those that other processes have recorded.</summary>
internal sealed class AppDirectory(ILoggerFactory loggers, TimeProvider time)
{
    private readonly ConcurrentDictionary<string, ImmutableArray<AppAddress>> _apps = new();
    private readonly ConcurrentDictionary<string, AppRecords> _records = new();

    /// <summary>Records an instance until the result is disposed.</summary>
    public IDisposable Register(AppSpec app, AppAddress address)
    {
        _apps.AddOrUpdate(app.AppId, [address], (_, addresses) => addresses.Add(address));
        var record = app.ResolutionDirectory is { } directory ? Records(directory).Add(app.AppId, address) : null;
        return new Registration(this, app.AppId, address, record);
    }

    /// <summary>The instances of an app, as the app <paramref name="caller"/> sees them.</summary>
    public ImmutableArray<AppAddress> Find(string appId, AppSpec caller)
    {
        var addresses = _apps.GetValueOrDefault(appId, []);
        return addresses.IsEmpty && caller.ResolutionDirectory is { } directory ? Records(directory).Find(appId) : addresses;
    }

    private AppRecords Records(string directory) => _records.GetOrAdd(directory, path => new AppRecords(path, time, loggers.CreateLogger<AppRecords>()));

    private sealed class Registration(AppDirectory directory, string appId, AppAddress address, IDisposable? record) : IDisposable
    {
        public void Dispose()
        {
            directory._apps.AddOrUpdate(appId, [], (_, addresses) => addresses.Remove(address));
            record?.Dispose();
        }
    }
}
