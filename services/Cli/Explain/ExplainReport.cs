using System.Globalization;
using SpegelDapr.Cli.Pull;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Explain;

/// <summary>How an explanation is written for people: lines that no width of a terminal breaks, since digests and node names are long.</summary>
internal static class ExplainReport
{
    public static void Write(Explanation explanation, TextWriter output)
    {
        var mode = explanation.Mode == "isolated" ? $"isolated by {explanation.Boundary}" : explanation.Mode;
        output.WriteLine(explanation.Key);
        if (explanation.Key.IsTag && explanation.Digest is { } digest)
        {
            output.WriteLine($"  stands for {digest}");
        }

        output.WriteLine($"  on {explanation.Node} in {explanation.Location}, {mode}");
        output.WriteLine($"  comes from {PullReport.Title(explanation.Decision)}: {explanation.Reason}");
        output.WriteLine();
        foreach (var candidate in explanation.Candidates)
        {
            output.WriteLine(
                $"  {(candidate.IsUsed ? '✓' : '✗')} {candidate.Node} in {candidate.Location}, {PullReport.Title(candidate.Tier)}: {candidate.Reason}");
            output.WriteLine($"      {Figures(candidate.Route)}, {Requests(candidate.Outstanding)}");
        }

        output.WriteLine($"    {explanation.Upstream.Registry ?? "the registry"}, {PullReport.Title(Tier.Upstream)}");
        output.WriteLine($"      {Figures(explanation.Upstream.Route)}");
        if (explanation.InFlight.Count == 0)
        {
            return;
        }

        output.WriteLine();
        output.WriteLine("  in flight in the zone");
        foreach (var line in InFlightTree.Lines(explanation.InFlight, InFlightTree.Relation))
        {
            output.WriteLine($"    {line}");
        }
    }

    private static string Figures(ExplainedRoute route)
    {
        string?[] figures =
        [
            route.FirstByteSeconds is { } firstByte ? $"first byte after {Seconds(firstByte)}" : null,
            route.BytesPerSecond is { } speed ? $"{PullReport.Size((long)speed)}/s" : null,
            route.Seconds is { } seconds ? $"expected to take {Seconds(seconds)}" : null,
            route.PriceSeconds > 0 ? $"priced like {Seconds(route.PriceSeconds)}" : null,
        ];
        return figures.All(figure => figure is null) ? "speed unknown" : string.Join(", ", figures.Where(figure => figure is not null));
    }

    private static string Requests(int outstanding) => outstanding == 1 ? "1 request under way" : $"{outstanding} requests under way";

    /// <summary>Seconds to the millisecond.</summary>
    public static string Seconds(double seconds) => seconds.ToString("0.000", CultureInfo.InvariantCulture) + " s";
}
