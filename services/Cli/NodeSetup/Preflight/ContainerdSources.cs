namespace SpegelDapr.Cli.NodeSetup.Preflight;

/// <summary>What could be learnt of containerd.</summary>
/// <param name="Settings">What it is; null when nothing could.</param>
/// <param name="Findings">What could not be asked or read.</param>
internal sealed record ContainerdReading(ContainerdSettings? Settings, IReadOnlyList<PreflightFinding> Findings);

/// <summary>Where containerd is learnt from: its socket, and its configuration file for what that does not tell.</summary>
internal static class ContainerdSources
{
    private const string DefaultConfigFile = "/etc/containerd/config.toml";

    private static string DefaultSocket => new Discovery.Containerd.ContainerdOptions().Socket;

    /// <summary>Asks and reads.</summary>
    /// <param name="options">Where to look.</param>
    /// <param name="time">Counts how long containerd is waited for.</param>
    /// <param name="progress">Is told when it is.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="ContainerdSilentException">containerd does not answer.</exception>
    public static async Task<ContainerdReading> ReadAsync(PreflightOptions options, TimeProvider time, TextWriter progress, CancellationToken cancellationToken)
    {
        var findings = new List<PreflightFinding>();
        ContainerdSettings? settings = null;
        if ((options.Socket ?? IfExists(DefaultSocket)) is { } socket)
        {
            try
            {
                settings = await CriStatus.ReadAsync(socket, time, progress, cancellationToken);
            }
            catch (UserErrorException e) when (e is not ContainerdSilentException)
            {
                findings.Add(new PreflightFinding("containerd-sock", false, e.Message));
            }
        }

        if (settings?.ConfigPath is null && (options.ConfigFile ?? IfExists(DefaultConfigFile)) is { } file)
        {
            try
            {
                var read = ContainerdConfigFile.Read(file, settings?.Number);
                settings = settings?.CompletedBy(read) ?? read;
            }
            catch (UserErrorException e)
            {
                findings.Add(new PreflightFinding("containerd-config", false, e.Message));
            }
        }

        if (settings is null && findings.Count == 0)
        {
            findings.Add(new PreflightFinding(
                "containerd-config", false, $"containerd's configuration is not known: give its socket as --containerd-sock or its file as --containerd-config; {DefaultSocket} and {DefaultConfigFile} are not here."));
        }

        return new ContainerdReading(settings, findings);
    }

    private static string? IfExists(string path) => File.Exists(path) ? path : null;
}
