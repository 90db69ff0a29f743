using System.CommandLine;
using SpegelDapr.Cli;
using SpegelDapr.Cli.Components;
using SpegelDapr.Cli.Demo;
using SpegelDapr.Cli.Explain;
using SpegelDapr.Cli.NodeSetup;
using SpegelDapr.Cli.Pull;

var root = new RootCommand("Zone-aware image distribution for Kubernetes: try it, set nodes up for it, and look at what it does.")
{
    DemoCommand.Create(),
    PullCommand.Create(),
    ExplainCommand.Create(),
    ConfigureCommand.Create(),
    CleanupCommand.Create(),
    ComponentsCommand.Create(),
};

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};

try
{
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false }, stop.Token);
}
catch (UserErrorException e)
{
    await Console.Error.WriteLineAsync(e.Message);
    return 1;
}
catch (OperationCanceledException) when (stop.IsCancellationRequested)
{
    return 130;
}
