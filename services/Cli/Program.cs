using System.CommandLine;
using System.Runtime.InteropServices;
using Grpc.Core;
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
    WaitCommand.Create(),
    ComponentsCommand.Create(),
};

using var stop = new CancellationTokenSource();
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);

void Stop(PosixSignalContext signal)
{
    signal.Cancel = true;
    stop.Cancel();
}

try
{
    return await root.Parse(args).InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, stop.Token);
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
catch (Exception e) when (e is OperationCanceledException or TimeoutException or IOException or UnauthorizedAccessException or HttpRequestException or RpcException)
{
    // The world outside, and no error of the program's: a trace would help nobody.
    await Console.Error.WriteLineAsync((e is OperationCanceledException ? $"No answer in time: {e.Message}" : e.Message).ReplaceLineEndings(" "));
    return 1;
}
