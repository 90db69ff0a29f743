namespace SpegelDapr.Benchmarks;

/// <summary>Of several measurements, which are never averaged here: one slow run says more about the machine than about the program.</summary>
internal static class Statistics
{
    /// <summary>The middle one.</summary>
    public static double Median(this IEnumerable<double> values) => values.Percentile(50);

    /// <summary>The smallest value that is not exceeded by <paramref name="percent"/> of them.</summary>
    public static double Percentile(this IEnumerable<double> values, double percent)
    {
        var sorted = values.Order().ToList();
        return sorted[Math.Clamp((int)Math.Ceiling(percent / 100 * sorted.Count) - 1, 0, sorted.Count - 1)];
    }
}
