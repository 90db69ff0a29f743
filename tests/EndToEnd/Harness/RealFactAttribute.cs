namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A test that runs real programs. It is skipped where one is missing, with its name, but never under CI=true.</summary>
internal sealed class RealFactAttribute : FactAttribute
{
    private static readonly string[] Programs = ["containerd", "ctr", "docker-registry", "redis-server", "skopeo"];

    public RealFactAttribute()
    {
        if (Environment.GetEnvironmentVariable("CI") == "true")
        {
            return;
        }

        var missing = Programs.Where(program => !IsInstalled(program)).ToList();
        Skip = missing.Count > 0 ? $"not installed: {string.Join(", ", missing)}"
            : !Environment.IsPrivilegedProcess ? "containerd needs root to unpack images"
            : null;
    }

    private static bool IsInstalled(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/sbin").Any(directory => File.Exists(Path.Combine(directory, program)));
}
