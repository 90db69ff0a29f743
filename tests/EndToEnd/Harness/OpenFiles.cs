namespace SpegelDapr.EndToEnd.Harness;

/// <summary>What files a process has open.</summary>
internal static class OpenFiles
{
    /// <summary>Their paths (<c>/proc/pid/fd</c> of proc(5)).</summary>
    public static IReadOnlyList<string> Of(int processId) =>
        [.. Directory.EnumerateFileSystemEntries($"/proc/{processId}/fd").Select(fd => new FileInfo(fd).LinkTarget).OfType<string>()];
}
