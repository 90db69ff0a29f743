using System.CommandLine;
using System.Diagnostics;
using Spectre.Console;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.Benchmarks;

/// <summary><c>faults</c>: storms in the lab with faults at random, one after another, and what became of their pulls.</summary>
internal static class FaultsCommand
{
    private const int DefaultMinutes = 60;

    public static Command Create()
    {
        var minutes = new Option<int>("--minutes") { Description = "How long new storms are begun.", DefaultValueFactory = _ => DefaultMinutes };
        var seed = new Option<int>("--seed")
        {
            Description = "What the first storm is drawn from; the second from the next number, and so on. By default another one each time.",
            DefaultValueFactory = _ => Random.Shared.Next(1_000_000),
        };
        var command = new Command("faults", "Run storms of pulls with faults at random: 0 pulls may fail, and 0 bytes be wrong.") { minutes, seed };
        command.SetAction((parsed, cancellation) => RunAsync(TimeSpan.FromMinutes(parsed.GetValue(minutes)), parsed.GetValue(seed), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(TimeSpan duration, int seed, CancellationToken cancellation)
    {
        var results = new List<FaultStormResult>();
        try
        {
            await using var lab = await FaultyLab.StartAsync();
            var clock = Stopwatch.StartNew();
            for (; clock.Elapsed < duration; seed++)
            {
                cancellation.ThrowIfCancellationRequested();
                var result = await FaultStorm.RunAsync(lab, StormPlan.Draw(new Random(seed), lab.Nodes), cancellation);
                results.Add(result);
                Console.WriteLine($"seed {seed}: {result}");
            }
        }
        catch (Exception) when (cancellation.IsCancellationRequested)
        {
            // Ctrl-C ends the lab's programs too, and whatever was under way fails. What has been seen before counts.
        }

        Print(results);
        return results.Count > 0 && results.TrueForAll(result => result.Failures.Count == 0) ? 0 : 1;
    }

    private static void Print(IReadOnlyList<FaultStormResult> results)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("fault", "storms", "pulls", "failed", "wrong bytes", "repeated");
        void AddRow(string name, IReadOnlyList<FaultStormResult> with) => table.AddRow(
            name,
            $"{with.Count}",
            $"{with.Sum(result => result.Plan.Pulls.Count)}",
            $"{with.Sum(result => result.Failures.Count)}",
            $"{with.Sum(result => result.Wrong)}",
            $"{with.Sum(result => result.Repeated)}");

        foreach (var kind in Enum.GetValues<FaultKind>())
        {
            AddRow(Fault.Name(kind), [.. results.Where(result => result.Plan.Faults.Any(fault => fault.Kind == kind))]);
        }

        AddRow("all", results);
        AnsiConsole.Write(table);
    }
}
