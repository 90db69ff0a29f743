using System.Globalization;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>Reads a service's <c>/metrics</c> in the Prometheus text format.</summary>
internal static class Metrics
{
    /// <summary>The sum of all series of <paramref name="name"/> that carry all of <paramref name="labels"/>, each as <c>key="value"</c>; 0 when there are none.</summary>
    public static async Task<double> SumAsync(HttpClient http, Uri telemetry, string name, params string[] labels)
    {
        var text = await http.GetStringAsync(new Uri(telemetry, "metrics"));
        return text.Split('\n')
            .Where(line => line.StartsWith(name + "{", StringComparison.Ordinal) && labels.All(label => line.Contains(label, StringComparison.Ordinal)))
            .Sum(line => double.Parse(line[(line.LastIndexOf('}') + 1)..].Trim().Split(' ')[0], CultureInfo.InvariantCulture));
    }
}
