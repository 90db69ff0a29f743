using SpegelDapr.Contracts;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>A lab that the tests of a class share.</summary>
public abstract class ZoneLabFixture : IAsyncLifetime
{
    private ZoneLab? _lab;

    private protected ZoneLabFixture()
    {
    }

    internal ZoneLab Lab => _lab!;

    /// <summary>The zones.</summary>
    private protected abstract IReadOnlyList<LabZone> Zones { get; }

    /// <summary>What the environment of all services says.</summary>
    private protected abstract IReadOnlyDictionary<string, string> Settings { get; }

    /// <summary>Whether resolvers reach no other zone than their own.</summary>
    private protected virtual bool IsIsolated => false;

    /// <summary>Whether the machines have addresses of IPv6 alone.</summary>
    private protected virtual bool IsIPv6 => false;

    /// <summary>Whether its tests can run here.</summary>
    private protected virtual bool CanRun => LabFactAttribute.CanRun;

    public async Task InitializeAsync()
    {
        if (CanRun)
        {
            _lab = await ZoneLab.StartAsync(Zones, IsIsolated, IsIPv6, Settings);
            await PrepareAsync();
        }
    }

    public virtual async Task DisposeAsync()
    {
        if (_lab is not null)
        {
            await _lab.DisposeAsync();
        }
    }

    /// <summary>What is to be done before the first test.</summary>
    private protected virtual Task PrepareAsync() => Task.CompletedTask;

    private protected static LabZone Zone(string location, int nodes) => new(Location.Parse(location), nodes);
}
