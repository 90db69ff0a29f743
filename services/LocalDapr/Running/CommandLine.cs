using System.CommandLine;
using SpegelDapr.LocalDapr.Resources;

namespace SpegelDapr.LocalDapr.Running;

/// <summary>The program's arguments: daprd's flags for one app, or <c>run -f</c> for the apps of a run file.</summary>
internal static class CommandLine
{
    private const int UserError = 2;

    // Longer than apps and sidecars are given.
    private static readonly TimeSpan StopBudget = TimeSpan.FromSeconds(30);

    // Flags of daprd that ask for nothing that matters here: actors, mTLS, metrics, limits.
    private static readonly string[] Ignored =
    [
        "--mode", "--metrics-port", "--enable-metrics", "--metrics-listen-address", "--placement-host-address", "--scheduler-host-address",
        "--sentry-address", "--control-plane-address", "--control-plane-namespace", "--control-plane-trust-domain", "--profile-port",
        "--enable-profiling", "--enable-mtls", "--enable-api-logging", "--app-max-concurrency", "--max-body-size", "--read-buffer-size",
        "--dapr-http-max-request-size", "--dapr-http-read-buffer-size", "--dapr-internal-grpc-port", "--dapr-public-port",
        "--dapr-listen-addresses", "--dapr-internal-grpc-listen-address", "--dapr-public-listen-address", "--dapr-graceful-shutdown-seconds", "--dapr-block-shutdown-duration", "--disable-builtin-k8s-secret-store",
        "--allowed-origins", "--log-as-json",
    ];

    public static async Task<int> RunAsync(string[] args)
    {
        // What follows -- is the app's command, whatever it looks like. daprd takes flags with one dash as well as with two.
        var end = Array.IndexOf(args, "--");
        var command = end < 0 ? [] : args[(end + 1)..];
        var flags = (end < 0 ? args : args[..end]).Select(arg => arg.Length > 2 && arg[0] == '-' && arg[1] != '-' ? "-" + arg : arg);
        try
        {
            return await Create(command).Parse([.. flags]).InvokeAsync(new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = StopBudget,
            });
        }
        catch (LocalDaprException e)
        {
            await Console.Error.WriteLineAsync(e.Message.ReplaceLineEndings(" "));
            return UserError;
        }
    }

    private static RootCommand Create(IReadOnlyList<string> command)
    {
        var appId = new Option<string>("--app-id") { Description = "The app's id." };
        var appPort = new Option<int?>("--app-port") { Description = "The port on which the app listens; none when it only calls." };
        var appAddress = new Option<string>("--app-channel-address") { Description = "The address on which the app listens.", DefaultValueFactory = _ => "127.0.0.1" };
        var appProtocol = new Option<string>("--app-protocol") { Description = "The app's protocol; http is all there is here.", DefaultValueFactory = _ => "http" };
        var httpPort = new Option<int>("--dapr-http-port") { Description = "The port of the HTTP API; 0 for a free one.", DefaultValueFactory = _ => 3500 };
        var grpcPort = new Option<int>("--dapr-grpc-port") { Description = "The port of the gRPC API; 0 for a free one.", DefaultValueFactory = _ => 50001 };
        var resources = new Option<string[]>("--resources-path", "--components-path")
        {
            Description = "A directory of Dapr resources; may be given more than once.",
            CustomParser = result => [.. result.Tokens.SelectMany(token => token.Value.Split(','))],
        };
        var config = new Option<string?>("--config") { Description = "A file with a Dapr Configuration, of which the feature HotReload is read." };
        var reconcile = new Option<string>("--hot-reload-reconcile-interval")
        {
            Description = "How often to read resources though no change was seen, such as 30s.",
            DefaultValueFactory = _ => "",
        };
        var logLevel = LogLevelOption();
        var resolutionDirectory = ResolutionDirectoryOption();
        var root = new RootCommand(
            "Dapr's API without Dapr, for laptops and tests. With daprd's flags it is the sidecar of one app, and of its process too when a command "
            + "follows after --. It reads DAPR_API_TOKEN, APP_API_TOKEN, NAMESPACE and POD_NAME as daprd does.")
        {
            appId, appPort, appAddress, appProtocol, httpPort, grpcPort, resources, config, reconcile, logLevel, resolutionDirectory, RunFileCommand(),
        };
        var ignored = Ignored.Select(name => new Option<string?>(name) { Hidden = true, Arity = ArgumentArity.ZeroOrOne }).ToList();
        ignored.ForEach(root.Add);
        root.SetAction((parsed, cancellation) =>
        {
            if (parsed.GetValue(appProtocol) != "http")
            {
                throw new LocalDaprException($"--app-protocol is '{parsed.GetValue(appProtocol)}': LocalDapr speaks http to apps.");
            }

            var paths = parsed.GetValue(resources) ?? [];
            var app = new RunApp(new AppSpec(parsed.GetValue(appId) is { Length: > 0 } id ? id : throw new LocalDaprException("--app-id is missing: give the app's id."))
            {
                AppPort = parsed.GetValue(appPort),
                AppChannelAddress = parsed.GetValue(appAddress)!,
                HttpPort = parsed.GetValue(httpPort),
                GrpcPort = parsed.GetValue(grpcPort),
                ResourcesPaths = paths,
                ConfigPath = parsed.GetValue(config) is { Length: > 0 } file ? file : null,
                ReconcileInterval = GoDuration.Parse(parsed.GetValue(reconcile)!, AppSpec.DefaultReconcileInterval, "--hot-reload-reconcile-interval"),
                DaprApiToken = Variable("DAPR_API_TOKEN"),
                AppApiToken = Variable("APP_API_TOKEN"),
                Namespace = Variable("NAMESPACE"),
                PodName = Variable("POD_NAME"),
                ResolutionDirectory = parsed.GetValue(resolutionDirectory) ?? ResolutionDirectory.For(paths),
            })
            {
                Command = command,
            };
            var given = ignored.Where(option => parsed.GetResult(option) is not null).Select(option => option.Name);
            return AppRunner.RunAsync([app], parsed.GetValue(logLevel), given, cancellation);
        });
        return root;
    }

    private static Command RunFileCommand()
    {
        var file = new Option<string>("--run-file", "-f") { Description = "The run file of dapr run -f, or a directory with a dapr.yaml.", Required = true };
        var logLevel = LogLevelOption();
        var resolutionDirectory = ResolutionDirectoryOption();
        var run = new Command("run", "Runs the apps of a run file, each with its sidecar, and stops them all on SIGINT or SIGTERM.") { file, logLevel, resolutionDirectory };
        run.SetAction((parsed, cancellation) =>
        {
            var (apps, ignored) = RunFile.Read(parsed.GetValue(file)!, parsed.GetValue(resolutionDirectory));
            return AppRunner.RunAsync(apps, parsed.GetValue(logLevel), ignored, cancellation);
        });
        return run;
    }

    private static Option<string?> ResolutionDirectoryOption() => new("--resolution-dir")
    {
        Description = "The directory in which sidecars of different processes find each other; by default one of the user's for the same resources.",
    };

    private static Option<LogLevel> LogLevelOption() => new("--log-level")
    {
        Description = "What to log: debug, info, warn or error.",
        DefaultValueFactory = _ => LogLevel.Information,
        CustomParser = result =>
        {
            switch (result.Tokens[0].Value)
            {
                case "debug":
                    return LogLevel.Debug;
                case "info":
                    return LogLevel.Information;
                case "warn" or "warning":
                    return LogLevel.Warning;
                case "error" or "fatal":
                    return LogLevel.Error;
                default:
                    result.AddError($"--log-level is '{result.Tokens[0].Value}': give debug, info, warn or error.");
                    return LogLevel.None;
            }
        },
    };

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
}
