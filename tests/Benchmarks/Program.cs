using System.CommandLine;
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
var chosen = new Argument<string[]>("group") { Description = "What to measure, by default all.", Arity = ArgumentArity.ZeroOrMore };
chosen.AcceptOnlyFromAmong([.. groups.Keys]);
var root = new RootCommand("Prints figures; exit code 1 when one is missed.") { chosen, FaultsCommand.Create() };
root.SetAction((parsed, cancellation) => MeasureAsync(parsed.GetRequiredValue(chosen), cancellation));
try
{
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TimeSpan.FromMinutes(2) });
}
catch (OperationCanceledException)
{
    return 130;
}

async Task<int> MeasureAsync(string[] names, CancellationToken cancellation)
{
    var figures = new List<Figure>();
    try
    {
        foreach (var (name, measure) in groups.Where(group => names.Length == 0 || names.Contains(group.Key)))
        {
            Console.Error.WriteLine($"Measuring {name} …");
            figures.AddRange(await measure().WaitAsync(cancellation));
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
}
#endif
