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

    /// <exception cref="LocalDaprException">The file cannot be read or is not complete.</exception>
    public static IReadOnlyList<RunApp> Read(string path, string? resolutionDirectory)
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

        return [.. apps.Select(app => ToApp(app, root, Path.GetDirectoryName(file)!, resolutionDirectory))];
    }

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
