using System.Text.Json;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary>How a result is written: for people one line each, which no width of a terminal breaks, since paths are long.</summary>
internal static class NodeSetupReport
{
    public static void Write(NodeSetupResult result, bool json, TextWriter output)
    {
        if (json)
        {
            output.WriteLine(JsonSerializer.Serialize(result, CliJson.Relaxed.NodeSetupResult));
            return;
        }

        foreach (var change in result.Changes)
        {
            output.WriteLine($"{change.File}: {Word(change.Kind)}{(change.SetAside.Count > 0 ? $"; set aside until cleanup: {string.Join(", ", change.SetAside)}" : "")}");
        }

        foreach (var finding in result.Preflight)
        {
            output.WriteLine($"{(finding.Ok ? '✓' : '✗')} {finding.Message}");
            foreach (var line in finding.Lines ?? [])
            {
                output.WriteLine($"    {line}");
            }
        }
    }

    private static string Word(ChangeKind kind) => kind switch
    {
        ChangeKind.Written => "written",
        ChangeKind.Unchanged => "unchanged",
        _ => "restored",
    };
}
