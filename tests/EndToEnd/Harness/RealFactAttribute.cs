namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A test that runs real programs. It is skipped where one is missing, with its name, but never under CI=true.</summary>
internal class RealFactAttribute : FactAttribute
{
    private static readonly string[] Programs = [ContainerdRelease.Daemon, ContainerdRelease.Ctr, "docker-registry", "skopeo", .. Backend.Programs];

    public RealFactAttribute()
        : this([])
    {
    }

    /// <param name="more">The programs that it needs beside those that all need.</param>
    protected RealFactAttribute(IEnumerable<string> more) => Skip = WhyNot(more);

    /// <summary>Why tests that need these programs too cannot run; null when they can.</summary>
    protected static string? WhyNot(IEnumerable<string> more)
    {
        if (Backend.Chosen == Backend.InMemory)
        {
            return "in-memory components are of one process, and the sidecars here are processes of their own";
        }

        if (Environment.GetEnvironmentVariable("CI") == "true")
        {
            return null;
        }

        var missing = Programs.Concat(more).Where(program => !IsInstalled(program)).ToList();
        return missing.Count > 0 ? $"not installed: {string.Join(", ", missing)}"
            : !Environment.IsPrivilegedProcess ? "containerd needs root to unpack images"
            : null;
    }

    private static bool IsInstalled(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/sbin").Any(directory => File.Exists(Path.Combine(directory, program)));
}
