using System.CommandLine;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>
/// <c>spegel-dapr wait</c>: does nothing. A pod of a DaemonSet must go on running when its work is done, and this needs no other image for it.
/// </summary>
internal static class WaitCommand
{
    public static Command Create()
    {
        var command = new Command("wait", "Do nothing until a signal ends it: keeps a pod running.") { Hidden = true };
        command.SetAction(async (_, cancellationToken) =>
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return 0;
        });
        return command;
    }
}
