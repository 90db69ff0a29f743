using System.CommandLine;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary><c>spegel-dapr cleanup</c>: restores what <c>configure</c> found.</summary>
internal static class CleanupCommand
{
    public static Command Create()
    {
        var certs = new Option<string>("--certs-d") { Description = "The directory that was given to configure.", DefaultValueFactory = _ => ConfigureCommand.DefaultCertsDirectory };
        var json = new Option<bool>("--json") { Description = "Print one JSON object." };
        var command = new Command("cleanup", "Restore how this node's containerd reached registries before configure.") { certs, json };
        command.SetAction(parsed => Run(parsed.GetRequiredValue(certs), parsed.GetValue(json)));
        return command;
    }

    private static int Run(string certs, bool json)
    {
        try
        {
            NodeSetupReport.Write(new NodeSetupResult(new CertsDirectory(certs, new NodeFiles()).Cleanup(), [], Ok: true), json, Console.Out);
            return 0;
        }
        catch (UserErrorException e) when (json)
        {
            NodeSetupReport.Write(new NodeSetupResult([], [], Ok: false, e.Message), json, Console.Out);
            return 1;
        }
    }
}
