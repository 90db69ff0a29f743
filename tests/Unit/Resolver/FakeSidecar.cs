using Grpc.Core;
using SpegelDapr.Contracts;
using SpegelDapr.Resolver.Subscribing;

namespace SpegelDapr.Unit.Resolver;

/// <summary>A sidecar that asks what to subscribe to when it starts, and is started again when it exits.</summary>
internal sealed class FakeSidecar : ISidecar
{
    private int _reads;
    private int _restarts;

    /// <summary>What the app tells when it is asked.</summary>
    public Func<IEnumerable<Location>> Told { get; set; } = () => [];

    public volatile HashSet<string> Topics = [];

    public HashSet<string> Declared { get; set; } = [];

    public bool HasEvents { get; set; } = true;

    public bool HotReloads { get; set; }

    public bool IsAway { get; set; }

    public bool StaysAway { get; set; }

    public int Reads => _reads;

    public int Restarts => _restarts;

    public bool IsSubscribedTo(params Location[] locations) => locations.All(location => Topics.Contains(LayerTopics.Events(location)));

    public void Start()
    {
        Topics = [.. Told().Select(LayerTopics.Events)];
        IsAway = false;
    }

    public Task<SidecarState> ReadAsync(CancellationToken cancellation)
    {
        Interlocked.Increment(ref _reads);
        return IsAway
            ? throw new RpcException(new Status(StatusCode.Unavailable, "away"))
            : Task.FromResult(new SidecarState(Topics.Union(Declared).ToHashSet(), Declared, HasEvents, HotReloads));
    }

    public Task ShutdownAsync(CancellationToken cancellation)
    {
        Interlocked.Increment(ref _restarts);
        IsAway = true;
        if (!StaysAway)
        {
            Start();
        }

        return Task.CompletedTask;
    }
}
