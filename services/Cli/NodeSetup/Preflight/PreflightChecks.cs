using System.Text.Json.Serialization;

namespace SpegelDapr.Cli.NodeSetup.Preflight;

/// <summary>One thing that was looked at.</summary>
/// <param name="Check">What, for machines.</param>
/// <param name="Ok">Whether it is as it must be.</param>
/// <param name="Message">What it is and, unless it is well, what to do.</param>
/// <param name="Lines">What containerd's configuration must have.</param>
internal sealed record PreflightFinding(
    string Check, bool Ok, string Message, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<string>? Lines = null);

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

    /// <summary>The first containerd that has a <see cref="DefaultConfigPath"/>.</summary>
    private static readonly Version DefaultConfigPathVersion = new(2, 2);

    /// <summary>What an unset config_path means where there are no mirrors of the older kind (containerd's plugins/cri/images/plugin.go).</summary>
    private const string DefaultConfigPath = "/etc/containerd/certs.d:/etc/docker/certs.d";

    /// <summary>Judges what is known.</summary>
    public static IReadOnlyList<PreflightFinding> Check(ContainerdReading reading, PreflightOptions options)
    {
        List<PreflightFinding> findings = [.. reading.Findings, .. reading.Settings is { } settings ? Check(settings, options) : []];
        if (Directory.Exists(Path.Combine(options.CertsDirectory, "_backup")))
        {
            findings.Add(new PreflightFinding("spegel", false, $"{options.CertsDirectory} has a _backup of Spegel's, which overwrites what others set there: uninstall Spegel and run its cleanup."));
        }

        return findings;
    }

    /// <summary>Judges what is known of containerd.</summary>
    public static IEnumerable<PreflightFinding> Check(ContainerdSettings settings, PreflightOptions options)
    {
        if (settings.Version is { } version)
        {
            var isTooOld = settings.Number is { } number && number < OldestVersion;
            yield return new PreflightFinding(
                "version",
                settings.Runtime == ContainerdSettings.Name && !isTooOld,
                settings.Runtime != ContainerdSettings.Name ? $"the runtime is {settings.Runtime} {version}: spegel-dapr needs containerd."
                : isTooOld ? $"containerd is {version}: use {OldestVersion} or later."
                : $"containerd is {version}.");
        }

        if (settings.IsCriDisabled == true)
        {
            yield return new PreflightFinding("cri", false, $"disabled_plugins has the CRI plugin, so nothing pulls for Kubernetes: take it out, and restart containerd ({settings.Source}).");
        }

        var ours = Clean(options.CertsDirectory);
        var conflict = settings.HasMirrors == true ? "registry.mirrors" : settings.HasTls == true ? "tls in registry.configs" : null;
        if (conflict is not null)
        {
            yield return new PreflightFinding(
                "registry", false, $"{conflict} is set, and containerd's CRI plugin does not start with that and config_path: move it into hosts.toml files in {ours}, and take it out, before config_path is set ({settings.Source}).");
        }

        yield return ConfigPath(settings, ours, conflict);

        if (settings.DiscardsUnpackedLayers is { } discards)
        {
            yield return new PreflightFinding(
                "discard-unpacked-layers",
                !discards,
                discards ? $"discard_unpacked_layers is true, so there will be no layers to share: set it to false, and restart containerd ({settings.Source})." : "discard_unpacked_layers is false.",
                discards ? Tables(settings).KeepLayers() : null);
        }

        if (settings.ContentPath is { } contentPath)
        {
            var isOurs = Clean(options.ContentPath) == Clean(contentPath);
            yield return new PreflightFinding(
                "content-path",
                isOurs,
                isOurs ? $"content is in {contentPath}." : $"content is in {contentPath}, not in {options.ContentPath}: set Blob:ContentPath and Containerd:ContentPath to it, and give it as --content-path.");
        }
    }

    private static PreflightFinding ConfigPath(ContainerdSettings settings, string ours, string? conflict)
    {
        var hasDefault = settings is { ConfigPath: "", Misplaced: null, HasMirrors: not true } && settings.Number >= DefaultConfigPathVersion;
        var configPath = hasDefault ? DefaultConfigPath : settings.ConfigPath;
        var configPaths = configPath?.Split(':', StringSplitOptions.RemoveEmptyEntries) ?? [];
        var isRead = configPaths.Length < 2 || !PullsByTransferService(settings);
        var hasOurs = configPaths.Any(path => Clean(path) == ours);
        return new PreflightFinding(
            "config-path",
            isRead && hasOurs,
            configPath is null ? $"config_path is not known, since containerd {settings.Version} does not tell it: give its configuration as --containerd-config."
            : settings.Misplaced is var (here, there) ? $"config_path is set for '{here}', where this version of the configuration is not to have it: set it in [plugins.'{there}'.registry], and restart containerd ({settings.Source})."
            : configPaths.Length == 0 ? $"config_path is not set, so containerd does not ask the mirror: {(conflict is null ? "" : $"once {conflict} is no longer there, ")}set it to {ours}, and restart containerd ({settings.Source})."
            : !isRead ? $"config_path is {configPath}{(hasDefault ? " where it is not set" : "")}, and since containerd {TransferVersion} none of several directories is read: set it to {ours} alone, and restart containerd ({settings.Source})."
            : hasOurs ? $"config_path is {configPath}."
            : $"config_path is {configPath}, not {ours}: set it to that, or give --certs-d.",
            configPath is null || (isRead && hasOurs) ? null : Tables(settings).ConfigPath(ours));
    }

    private static ImageTables Tables(ContainerdSettings settings) => settings.Tables ?? ImageTables.Of(settings.Number);

    private static string Clean(string path) => "/" + string.Join('/', path.Split('/', StringSplitOptions.RemoveEmptyEntries));

    /// <summary>It takes config_path for one directory, whatever is in it (containerd/containerd#12415, as of 2.4).</summary>
    private static bool PullsByTransferService(ContainerdSettings settings) =>
        settings.Number is { } number ? settings.PullsLocally != true && number >= TransferVersion : settings.PullsLocally == false;
}
