using Spectre.Console;
using SpegelDapr.Benchmarks;
using SpegelDapr.EndToEnd.Harness;

#if DEBUG
Console.Error.WriteLine("Figures of a debug build mean nothing: run with -c Release.");
return 2;
#else
Cluster? cluster = null;
async Task<Cluster> SharedAsync() => cluster ??= await Cluster.StartAsync(nodes: 2);
var groups = new Dictionary<string, Func<Task<IReadOnlyList<Figure>>>>
{
    ["memory"] = async () => await Memory.MeasureAsync(await SharedAsync()),
    ["data-plane"] = async () => await DataPlane.MeasureAsync(await SharedAsync()),
    ["control-plane"] = async () => await ControlPlane.MeasureAsync(await SharedAsync()),
    ["modes"] = Modes.MeasureAsync,
    ["storm"] = Storm.MeasureAsync,
    ["swarm"] = Swarm.MeasureAsync,
    ["simulation"] = SwarmSimulation.MeasureAsync,
};
if (args.FirstOrDefault(arg => !groups.ContainsKey(arg)) is { } unknown)
{
    Console.Error.WriteLine($"'{unknown}' is no group of figures: give some of {string.Join(", ", groups.Keys)}, or none for all.");
    return 2;
}

var figures = new List<Figure>();
try
{
    foreach (var (name, measure) in groups.Where(group => args.Length == 0 || args.Contains(group.Key)))
    {
        Console.Error.WriteLine($"Measuring {name} …");
        figures.AddRange(await measure());
    }
}
finally
{
    if (cluster is not null)
    {
        await cluster.DisposeAsync();
    }
}

var table = new Table().Border(TableBorder.Simple).AddColumns("figure", "measured", "must reach", "");
foreach (var figure in figures)
{
    table.AddRow(Markup.Escape(figure.Name), Markup.Escape(figure.Measured), Markup.Escape(figure.Target), figure.Reached switch { true => "reached", false => "[red]missed[/]", null => "" });
}

AnsiConsole.Profile.Width = Math.Max(AnsiConsole.Profile.Width, 140);
AnsiConsole.Write(table);
return figures.Any(figure => figure.Reached == false) ? 1 : 0;
#endif
