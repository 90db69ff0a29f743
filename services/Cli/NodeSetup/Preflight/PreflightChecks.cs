namespace SpegelDapr.Cli.NodeSetup.Preflight;

/// <summary>One thing that was looked at.</summary>
/// <param name="Check">What, for machines.</param>
/// <param name="Ok">Whether it is as it must be.</param>
/// <param name="Message">What it is and, unless it is well, what to do.</param>
internal sealed record PreflightFinding(string Check, bool Ok, string Message);

/// <summary>Where to look, and what for.</summary>
/// <param name="CertsDirectory">The directory of registries that containerd must read.</param>
/// <param name="ContentPath">Where the mirror looks for content.</param>
/// <param name="Socket">containerd's socket; null for the usual one, if it is there.</param>
/// <param name="ConfigFile">containerd's configuration; null for the usual one, if it is there.</param>
internal sealed record PreflightOptions(string CertsDirectory, string ContentPath, string? Socket, string? ConfigFile);

/// <summary>Says whether containerd's configuration lets a mirror work. It changes nothing.</summary>
internal static class PreflightChecks
{
    /// <summary>The first containerd with CRI v1, and the oldest that spegel-dapr is tested with.</summary>
    public static readonly Version OldestVersion = new(1, 6);

    /// <summary>The first containerd whose transfer service pulls for the CRI plugin.</summary>
    private static readonly Version TransferVersion = new(2, 1);

    private const string DefaultConfigFile = "/etc/containerd/config.toml";

    private static string DefaultSocket => new Discovery.Containerd.ContainerdOptions().Socket;

    /// <summary>Looks at everything.</summary>
    public static async Task<IReadOnlyList<PreflightFinding>> RunAsync(PreflightOptions options, CancellationToken cancellationToken)
    {
        var findings = new List<PreflightFinding>();
        ContainerdSettings? settings = null;
        if ((options.Socket ?? IfExists(DefaultSocket)) is { } socket)
        {
            try
            {
                settings = await CriStatus.ReadAsync(socket, cancellationToken);
            }
            catch (UserErrorException e)
            {
                findings.Add(new PreflightFinding("containerd-sock", false, e.Message));
            }
        }

        if (settings?.ConfigPath is null && (options.ConfigFile ?? IfExists(DefaultConfigFile)) is { } file)
        {
            try
            {
                var read = ContainerdConfigFile.Read(file, settings?.Major);
                settings = settings?.CompletedBy(read) ?? read;
            }
            catch (UserErrorException e)
            {
                findings.Add(new PreflightFinding("containerd-config", false, e.Message));
            }
        }

        findings.AddRange(settings is not null ? Check(settings, options) : findings.Count > 0 ? [] :
        [
            new PreflightFinding(
                "containerd-config", false, $"containerd's configuration is not known: give its socket as --containerd-sock or its file as --containerd-config; {DefaultSocket} and {DefaultConfigFile} are not here."),
        ]);
        if (Directory.Exists(Path.Combine(options.CertsDirectory, "_backup")))
        {
            findings.Add(new PreflightFinding("spegel", false, $"{options.CertsDirectory} has a _backup of Spegel's, which overwrites what others set there: uninstall Spegel and run its cleanup."));
        }

        return findings;
    }

    /// <summary>Judges what is known.</summary>
    public static IEnumerable<PreflightFinding> Check(ContainerdSettings settings, PreflightOptions options)
    {
        if (settings.Version is { } version)
        {
            yield return new PreflightFinding(
                "version",
                settings.Runtime == "containerd" && !IsOlder(version, OldestVersion),
                settings.Runtime != "containerd" ? $"the runtime is {settings.Runtime} {version}: spegel-dapr needs containerd."
                : IsOlder(version, OldestVersion) ? $"containerd is {version}: use {OldestVersion} or later."
                : $"containerd is {version}.");
        }

        if (settings.IsCriDisabled == true)
        {
            yield return new PreflightFinding("cri", false, $"disabled_plugins has the CRI plugin, so nothing pulls for Kubernetes: take it out, and restart containerd ({settings.Source}).");
        }

        var ours = Path.TrimEndingDirectorySeparator(options.CertsDirectory);
        var configPaths = settings.ConfigPath?.Split(':', StringSplitOptions.RemoveEmptyEntries) ?? [];
        var isRead = configPaths.Length < 2 || !PullsByTransferService(settings);
        yield return new PreflightFinding(
            "config-path",
            isRead && configPaths.Any(path => Path.TrimEndingDirectorySeparator(path) == ours),
            settings.ConfigPath is null ? $"config_path is not known, since containerd {settings.Version} does not tell it: give its configuration as --containerd-config."
            : settings.Misplaced is var (here, there) ? $"config_path is set for '{here}', where this version of the configuration is not to have it: set it in [plugins.'{there}'.registry], and restart containerd ({settings.Source})."
            : configPaths.Length == 0 ? $"config_path is not set, so containerd does not ask the mirror: set it to {ours}, and restart containerd ({settings.Source})."
            : !isRead ? $"config_path is {settings.ConfigPath}, and since containerd {TransferVersion} none of several directories is read: set it to {ours} alone, and restart containerd ({settings.Source})."
            : configPaths.Any(path => Path.TrimEndingDirectorySeparator(path) == ours) ? $"config_path is {settings.ConfigPath}."
            : $"config_path is {settings.ConfigPath}, not {ours}: set it to that, or give --certs-d.");

        if (settings.DiscardsUnpackedLayers is { } discards)
        {
            yield return new PreflightFinding(
                "discard-unpacked-layers",
                !discards,
                discards ? $"discard_unpacked_layers is true, so there will be no layers to share: set it to false, and restart containerd ({settings.Source})." : "discard_unpacked_layers is false.");
        }

        if (settings.ContentPath is { } contentPath)
        {
            var isOurs = Path.TrimEndingDirectorySeparator(options.ContentPath) == contentPath;
            yield return new PreflightFinding(
                "content-path",
                isOurs,
                isOurs ? $"content is in {contentPath}." : $"content is in {contentPath}, not in {options.ContentPath}: set Blob:ContentPath and Containerd:ContentPath to it, and give it as --content-path.");
        }
    }

    private static string? IfExists(string path) => File.Exists(path) ? path : null;

    /// <summary>It takes config_path for one directory, whatever is in it (containerd/containerd#12415, as of 2.4).</summary>
    private static bool PullsByTransferService(ContainerdSettings settings) =>
        settings.Version is { } version ? settings.PullsLocally != true && !IsOlder(version, TransferVersion) : settings.PullsLocally == false;

    private static bool IsOlder(string version, Version than)
    {
        var parts = version.TrimStart('v').Split('.');
        return parts.Length > 1 && int.TryParse(parts[0], out var major) && int.TryParse(parts[1], out var minor) && new Version(major, minor) < than;
    }
}
