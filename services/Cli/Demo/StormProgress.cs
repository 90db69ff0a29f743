using Spectre.Console;
using SpegelDapr.Cli.Pull;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Demo;

/// <summary>Shows how far the nodes have come, where there is a terminal to show it on.</summary>
internal interface IStormProgress
{
    /// <summary>Hears of one node's pull.</summary>
    IPullProgress Of(NodeName node);
}

/// <summary>The ways to show it.</summary>
internal static class StormProgress
{
    /// <summary>What the other columns take of a line, in characters.</summary>
    private const int OtherColumns = 58;

    private const int LongestBar = 60;
    private const int ShortestBar = 8;

    /// <summary>Runs pulls, with a progress bar for each node if <paramref name="show"/> and if standard output is a terminal.</summary>
    /// <param name="show">Whether to show anything.</param>
    /// <param name="nodes">The nodes.</param>
    /// <param name="bytes">What each of them has to fetch.</param>
    /// <param name="feeder">Who feeds a node at the moment, for people.</param>
    /// <param name="pull">The pulls.</param>
    public static Task<T> ShowAsync<T>(
        bool show, IReadOnlyList<NodeName> nodes, long bytes, Func<NodeName, string> feeder, Func<IStormProgress, Task<T>> pull) =>
        show && PullProgress.IsPossible
            ? AnsiConsole.Progress()
                .AutoClear(true)
                .Columns(
                    new TaskDescriptionColumn { Alignment = Justify.Left },
                    new ProgressBarColumn { Width = Math.Clamp(AnsiConsole.Profile.Width - OtherColumns, ShortestBar, LongestBar) },
                    new DownloadedColumn(),
                    new TransferSpeedColumn())
                .StartAsync(context => pull(new Bars(context, nodes, bytes, feeder)))
            : pull(new Nothing());

    private sealed class Nothing : IStormProgress
    {
        public IPullProgress Of(NodeName node) => PullProgress.None;
    }

    private sealed class Bars(ProgressContext context, IReadOnlyList<NodeName> nodes, long bytes, Func<NodeName, string> feeder) : IStormProgress
    {
        private readonly Dictionary<NodeName, ProgressTask> _bars = nodes.ToDictionary(
            node => node, node => context.AddTask(Markup.Escape(node.ToString()), maxValue: bytes));

        public IPullProgress Of(NodeName node) => new Bar(_bars[node], () => $"{node} from {feeder(node)}");
    }

    /// <summary>One bar for all that a node fetches.</summary>
    private sealed class Bar(ProgressTask task, Func<string> describe) : IPullProgress
    {
        private readonly Dictionary<string, long> _bytes = [];

        public void Report(string reference, long bytes, long? total)
        {
            lock (_bytes)
            {
                _bytes[reference] = bytes;
                task.Value = _bytes.Values.Sum();
                task.Description = Markup.Escape(describe());
            }
        }
    }
}
