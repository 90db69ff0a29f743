using Spectre.Console;
using SpegelDapr.Benchmarks;
using SpegelDapr.EndToEnd.Harness;

#if DEBUG
Console.Error.WriteLine("Figures of a debug build mean nothing: run with -c Release.");
return 2;
#else
await using var cluster = await Cluster.StartAsync(nodes: 2);
List<Figure> figures =
[
    .. await Memory.MeasureAsync(cluster),
    .. await DataPlane.MeasureAsync(cluster),
    .. await ControlPlane.MeasureAsync(cluster),
];

var table = new Table().Border(TableBorder.Simple).AddColumns("figure", "measured", "must reach", "");
foreach (var figure in figures)
{
    table.AddRow(Markup.Escape(figure.Name), Markup.Escape(figure.Measured), Markup.Escape(figure.Target), figure.Reached switch { true => "reached", false => "[red]missed[/]", null => "" });
}

AnsiConsole.Profile.Width = Math.Max(AnsiConsole.Profile.Width, 140);
AnsiConsole.Write(table);
return figures.Any(figure => figure.Reached == false) ? 1 : 0;
#endif
