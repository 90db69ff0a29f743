using System.Collections.Concurrent;
using System.Collections.Immutable;

namespace SpegelDapr.LocalDapr.Invocation;

/// <summary>
/// Finds the instances of an app: those of this host, or else those that other processes have recorded. They are recorded as
/// <c>app.namespace</c>, and an id without a namespace is of the caller's (dapr/pkg/messaging/direct_messaging.go).
/// </summary>
internal sealed class AppDirectory(ILoggerFactory loggers, TimeProvider time)
{
    private readonly ConcurrentDictionary<string, ImmutableArray<AppAddress>> _apps = new();
    private readonly ConcurrentDictionary<string, AppRecords> _records = new();

    /// <summary>Records an instance until the result is disposed.</summary>
    public IDisposable Register(AppSpec app, AppAddress address)
    {
        var name = Qualified(app.AppId, app);
        _apps.AddOrUpdate(name, [address], (_, addresses) => addresses.Add(address));
        var record = app.ResolutionDirectory is { } directory ? Records(directory).Add(name, address) : null;
        return new Registration(this, name, address, record);
    }

    /// <summary>The instances of an app, as the app <paramref name="caller"/> sees them.</summary>
    public ImmutableArray<AppAddress> Find(string appId, AppSpec caller)
    {
        var name = Qualified(appId, caller);
        var addresses = _apps.GetValueOrDefault(name, []);
        return addresses.IsEmpty && caller.ResolutionDirectory is { } directory ? Records(directory).Find(name) : addresses;
    }

    private static string Qualified(string appId, AppSpec app) =>
        appId.Contains('.', StringComparison.Ordinal) ? appId : $"{appId}.{app.Namespace ?? AppSpec.DefaultNamespace}";

    private AppRecords Records(string directory) => _records.GetOrAdd(directory, path => new AppRecords(path, time, loggers.CreateLogger<AppRecords>()));

    private sealed class Registration(AppDirectory directory, string name, AppAddress address, IDisposable? record) : IDisposable
    {
        public void Dispose()
        {
            directory._apps.AddOrUpdate(name, [], (_, addresses) => addresses.Remove(address));
            record?.Dispose();
        }
    }
}
