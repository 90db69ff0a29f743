using Spectre.Console;

namespace SpegelDapr.Cli.Pull;

/// <summary>Hears how far a pull has come.</summary>
internal interface IPullProgress
{
    /// <summary>One manifest or blob has come this far, of <paramref name="total"/> bytes if they are known.</summary>
    void Report(string reference, long bytes, long? total);
}

/// <summary>Shows a pull's progress where there is a terminal to show it on.</summary>
internal static class PullProgress
{
    /// <summary>Shows nothing.</summary>
    public static IPullProgress None { get; } = new Nothing();

    /// <summary>Whether standard output is a terminal.</summary>
    public static bool IsPossible => AnsiConsole.Profile.Capabilities.Interactive && !Console.IsOutputRedirected;

    /// <summary>Runs a pull, with a progress bar for each manifest and blob if <paramref name="show"/> and if standard output is a terminal.</summary>
    public static Task<PullResult> ShowAsync(bool show, Func<IPullProgress, Task<PullResult>> pull) =>
        show && IsPossible
            ? AnsiConsole.Progress()
                .AutoClear(true)
                .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new DownloadedColumn(), new TransferSpeedColumn())
                .StartAsync(context => pull(new Bars(context)))
            : pull(None);

    private sealed class Nothing : IPullProgress
    {
        public void Report(string reference, long bytes, long? total)
        {
        }
    }

    private sealed class Bars(ProgressContext context) : IPullProgress
    {
        private const int ShortDigest = 19;

        private readonly Dictionary<string, ProgressTask> _bars = [];

        public void Report(string reference, long bytes, long? total)
        {
            lock (_bars)
            {
                if (!_bars.TryGetValue(reference, out var bar))
                {
                    var title = reference.Length > ShortDigest ? reference[..ShortDigest] : reference;
                    _bars[reference] = bar = context.AddTask(Markup.Escape(title), maxValue: Math.Max(1, total ?? bytes));
                }

                bar.Value = bytes;
            }
        }
    }
}
