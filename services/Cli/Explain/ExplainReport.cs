using System.Globalization;
using Spectre.Console;
using SpegelDapr.Cli.Pull;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Explain;

/// <summary>How an explanation is written for people.</summary>
internal static class ExplainReport
{
    private const string Unknown = "–";

    public static void Write(Explanation explanation)
    {
        var mode = explanation.Mode == "isolated" ? $"isolated by {explanation.Boundary}" : explanation.Mode;
        AnsiConsole.MarkupLineInterpolated($"{explanation.Key} on {explanation.Node} ({explanation.Location}, {mode})");
        if (explanation.Digest is { } digest && explanation.Key.IsTag)
        {
            AnsiConsole.MarkupLineInterpolated($"stands for {digest}");
        }

        AnsiConsole.MarkupLineInterpolated($"comes from [bold]{PullReport.Title(explanation.Decision)}[/]: {explanation.Reason}.");
        AnsiConsole.Write(Routes(explanation));
    }

    private static Table Routes(Explanation explanation)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("", "holder", "location", "tier");
        foreach (var title in new[] { "requests", "first byte", "speed", "expected", "price" })
        {
            table.AddColumn(new TableColumn(title).RightAligned());
        }

        table.AddColumn("why");
        foreach (var candidate in explanation.Candidates)
        {
            table.AddRow([
                candidate.IsUsed ? "✓" : "✗",
                Markup.Escape(candidate.Node.ToString()),
                Markup.Escape(candidate.Location.ToString()),
                PullReport.Title(candidate.Tier),
                candidate.Outstanding.ToString(CultureInfo.InvariantCulture),
                .. Figures(candidate.Route),
                Markup.Escape(candidate.Reason)]);
        }

        table.AddRow(["", Markup.Escape(explanation.Upstream.Registry ?? Unknown), "", PullReport.Title(Tier.Upstream), "", .. Figures(explanation.Upstream.Route), ""]);
        return table;
    }

    private static IEnumerable<string> Figures(ExplainedRoute route) =>
    [
        Seconds(route.FirstByteSeconds),
        route.BytesPerSecond is { } speed ? PullReport.Size((long)speed) + "/s" : Unknown,
        Seconds(route.Seconds),
        route.PriceSeconds > 0 ? Seconds(route.PriceSeconds) : Unknown,
    ];

    private static string Seconds(double? seconds) => seconds is { } known ? known.ToString("0.000", CultureInfo.InvariantCulture) + " s" : Unknown;
}
