using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd.Lab;

/// <summary>A test in a lab without IPv4, for which containerd must read an IPv6 address in hosts.toml. tests/run.sh runs it on such a one.</summary>
internal sealed class IPv6FactAttribute : LabFactAttribute
{
    public IPv6FactAttribute()
    {
        if (Skip is null && !ContainerdRelease.IsSecond)
        {
            Skip = $"containerd {ContainerdRelease.Version} reads no IPv6 address in hosts.toml: name a newer one in SPEGEL_DAPR_CONTAINERD";
        }
    }

    /// <summary>Whether such tests can run here.</summary>
    public static new bool CanRun => LabFactAttribute.CanRun && ContainerdRelease.IsSecond;
}
