using System.Globalization;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>Memory of a process, as the kernel counts it.</summary>
internal static class ResidentMemory
{
    /// <summary>The most resident memory that the process has had, in bytes (<c>VmHWM</c> of proc(5)).</summary>
    public static long PeakOf(int processId)
    {
        var line = File.ReadLines($"/proc/{processId}/status").First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
    }
}
