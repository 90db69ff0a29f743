using System.Globalization;
using SpegelDapr.LocalDapr.Resources;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace SpegelDapr.LocalDapr.Running;

/// <summary>
/// The file of <c>dapr run -f</c>, read as the Dapr CLI reads it (cli/pkg/runfileconfig): what an app does not say is taken from
/// <c>common</c>; paths under <c>common</c> and <c>appDirPath</c> are relative to the file, other paths of an app to its directory.
/// </summary>
internal static class RunFile
{
    private const string DefaultName = "dapr.yaml";

    /// <summary>What an app or <c>common</c> may say, by Dapr's documentation (Multi-App Run template), and means something here.</summary>
    private static readonly string[] Known =
    [
        "appDirPath", "appID", "resourcesPath", "resourcesPaths", "appChannelAddress", "configFilePath", "appProtocol", "appPort", "daprHTTPPort",
        "daprGRPCPort", "apiListenAddresses", "env", "appLogDestination", "command",
    ];

    /// <summary>What asks for nothing that matters here.</summary>
    private static readonly string[] Ignored =
    [
        "daprInternalGRPCPort", "metricsPort", "unixDomainSocket", "profilePort", "enableProfiling", "logLevel", "appMaxConcurrency",
        "placementHostAddress", "schedulerHostAddress", "appSSL", "daprHTTPMaxRequestSize", "daprHTTPReadBufferSize", "daprMaxBodySize",
        "daprReadBufferSize", "enableAppHealthCheck", "appHealthCheckPath", "appHealthProbeInterval", "appHealthProbeTimeout", "appHealthThreshold",
        "enableApiLogging", "runtimePath", "daprdLogDestination", "containerImage", "containerImagePullPolicy", "createService",
    ];

    /// <summary>The apps of a run file, and the keys in it that have no effect here.</summary>
    /// <exception cref="LocalDaprException">The file cannot be read, is not complete, or has a key that Dapr does not know.</exception>
    public static (IReadOnlyList<RunApp> Apps, IReadOnlyList<string> Ignored) Read(string path, string? resolutionDirectory)
    {
        var file = Path.GetFullPath(Directory.Exists(path) ? Path.Combine(path, DefaultName) : path);
        if (!File.Exists(file))
        {
            throw new LocalDaprException($"There is no run file '{path}'.");
        }

        var root = Load(file);
        root.Required("version");
        var apps = root.Items("apps");
        if (apps.Count == 0)
        {
            throw new LocalDaprException($"{file}: 'apps' is missing: list at least one.");
        }

        var given = root.Keys("common").Concat(apps.SelectMany(app => app.Keys())).Distinct().ToList();
        if (given.Except(Known).Except(Ignored).FirstOrDefault() is { } unknown)
        {
            throw new LocalDaprException($"{file}: Dapr's run files have no key '{unknown}'.");
        }

        return (
            [.. apps.Select(app => ToApp(app, root, Path.GetDirectoryName(file)!, resolutionDirectory))],
            [.. given.Intersect(Ignored).Where(key => apps.Append(root).Any(owner => Says(owner, key))).Select(key => $"{key} in {file}")]);
    }

    // placementHostAddress and the like are switched off by an empty text, as they are here.
    private static bool Says(YamlResource owner, string key) => owner.Text(key).Length > 0 || owner.Text("common", key).Length > 0;

    private static YamlResource Load(string file)
    {
        var yaml = new YamlStream();
        try
        {
            using var reader = new StreamReader(file);
            yaml.Load(reader);
        }
        catch (YamlException e)
        {
            throw new LocalDaprException($"{file}:{e.Start.Line}: not well-formed YAML: {e.InnerException?.Message ?? e.Message}", e);
        }

        return yaml.Documents is [{ RootNode: YamlMappingNode root }, ..] ? new YamlResource(file, root) : throw new LocalDaprException($"{file}: not a run file.");
    }

    private static RunApp ToApp(YamlResource app, YamlResource root, string baseDirectory, string? resolutionDirectory)
    {
        var directory = Existing(app.File, "appDirPath", Path.GetFullPath(app.Required("appDirPath"), baseDirectory));
        var appId = app.Text("appID") is { Length: > 0 } id ? id : Path.GetFileName(directory.TrimEnd(Path.DirectorySeparatorChar));
        string Shared(string key) => app.Text(key) is { Length: > 0 } own ? own : root.Text("common", key);
        if (Shared("appProtocol") is not ("" or "http") and var protocol)
        {
            throw new LocalDaprException($"{app.File}: appProtocol of {appId} is '{protocol}': LocalDapr speaks http to apps.");
        }

        if (Shared("apiListenAddresses") is not ("" or "127.0.0.1" or "localhost") and var listen)
        {
            throw new LocalDaprException($"{app.File}: apiListenAddresses of {appId} is '{listen}': LocalDapr listens on 127.0.0.1 alone.");
        }

        var resources = Resources(app, root, baseDirectory, directory);
        var environment = root.Texts("common", "env");
        foreach (var (name, value) in app.Texts("env"))
        {
            environment[name] = value;
        }

        var destination = Shared("appLogDestination");
        return new RunApp(new AppSpec(appId)
        {
            AppPort = Port(app, "appPort"),
            AppChannelAddress = app.Text("appChannelAddress") is { Length: > 0 } address ? address : "127.0.0.1",
            HttpPort = Port(app, "daprHTTPPort") ?? 0,
            GrpcPort = Port(app, "daprGRPCPort") ?? 0,
            ResourcesPaths = resources,
            ConfigPath = app.Text("configFilePath") is { Length: > 0 } own ? Path.GetFullPath(own, directory)
                : root.Text("common", "configFilePath") is { Length: > 0 } shared ? Path.GetFullPath(shared, baseDirectory)
                : null,
            DaprApiToken = Variable(environment, "DAPR_API_TOKEN"),
            AppApiToken = Variable(environment, "APP_API_TOKEN"),
            Namespace = Variable(environment, "NAMESPACE"),
            PodName = Variable(environment, "POD_NAME"),
            ResolutionDirectory = resolutionDirectory ?? ResolutionDirectory.For(resources),
        })
        {
            Command = app.List("command"),
            Directory = directory,
            Environment = environment,
            LogsToConsole = destination is "" or "console" or "fileAndConsole",
            LogFile = destination is "file" or "fileAndConsole" ? Path.Combine(directory, ".dapr", "logs", LogName(appId)) : null,
        };
    }

    private static IReadOnlyList<string> Resources(YamlResource app, YamlResource root, string baseDirectory, string appDirectory)
    {
        List<string> own = [.. app.List("resourcesPaths"), .. new[] { app.Text("resourcesPath") }.Where(path => path.Length > 0)];
        if (own.Count > 0)
        {
            return [.. own.Select(path => Existing(app.File, "resourcesPaths", Path.GetFullPath(path, appDirectory)))];
        }

        var conventional = Path.Combine(appDirectory, ".dapr", "resources");
        if (Directory.Exists(conventional))
        {
            return [conventional];
        }

        List<string> common = [.. root.List("common", "resourcesPaths"), .. new[] { root.Text("common", "resourcesPath") }.Where(path => path.Length > 0)];
        return [.. common.Select(path => Existing(app.File, "resourcesPaths", Path.GetFullPath(path, baseDirectory)))];
    }

    private static string Existing(string file, string key, string path) =>
        Path.Exists(path) ? path : throw new LocalDaprException($"{file}: {key} '{path}' does not exist.");

    private static int? Port(YamlResource app, string key) =>
        app.Text(key) is not { Length: > 0 } text ? null
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port is > 0 and < 65536 ? port
        : throw new LocalDaprException($"{app.File}: {key} is '{text}': give a port.");

    private static string? Variable(Dictionary<string, string> environment, string name) =>
        (environment.GetValueOrDefault(name) ?? Environment.GetEnvironmentVariable(name)) is { Length: > 0 } value ? value : null;

    private static string LogName(string appId) => $"{appId}_app_{DateTime.Now.ToString("yyyyMMddHHmmss", CultureInfo.InvariantCulture)}.log";
}
