using System.CommandLine;
using SpegelDapr.Cli.NodeSetup.Preflight;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Containerd;

namespace SpegelDapr.Cli.NodeSetup;

/// <summary><c>spegel-dapr configure</c>: has a node's containerd ask mirrors first, and says what of its configuration stands in the way.</summary>
internal static class ConfigureCommand
{
    /// <summary>What the directory of registries is called where containerd is installed as its documents say.</summary>
    public const string DefaultCertsDirectory = "/etc/containerd/certs.d";

    public static Command Create()
    {
        var registry = new Option<string[]>("--registry") { Description = "A registry to mirror, such as https://docker.io; repeatable. Without it, all.", AllowMultipleArgumentsPerToken = true };
        var mirror = new Option<string[]>("--mirror") { Description = "A mirror's address, such as http://127.0.0.1:5000; repeatable, tried in order.", AllowMultipleArgumentsPerToken = true };
        var certs = new Option<string>("--certs-d") { Description = "The directory that containerd's config_path names.", DefaultValueFactory = _ => DefaultCertsDirectory };
        var resolveTags = new Option<bool>("--resolve-tags") { Description = "Ask mirrors for tags too, and not for digests alone.", DefaultValueFactory = _ => true };
        var prepend = new Option<bool>("--prepend-existing") { Description = "Keep mirrors that are there already, after these. Without it they are set aside until cleanup." };
        var check = new Option<bool>("--check") { Description = "Change nothing; fail if containerd's configuration stands in the way." };
        var socket = new Option<string?>("--containerd-sock") { Description = "containerd's socket, to ask for its configuration. By default the usual one, if it is there." };
        var config = new Option<string?>("--containerd-config") { Description = "containerd's configuration file, for what the socket does not tell. By default the usual one, if it is there." };
        var content = new Option<string>("--content-path") { Description = "Where the mirror looks for content: its Blob:ContentPath.", DefaultValueFactory = _ => new ContainerdOptions().ContentPath };
        var node = new Option<string?>("--node") { Description = "This node's name in Kubernetes: the first mirror must be this node's own, and what stands in the way is shown on the node as an Event." };
        var problems = new Option<string?>("--problems") { Description = "Write what stands in the way into this file as well, a line each, for Discovery:ProblemsPath." };
        var json = new Option<bool>("--json") { Description = "Print one JSON object." };
        var command = new Command("configure", "Have this node's containerd ask mirrors first.")
        {
            registry, mirror, certs, resolveTags, prepend, check, socket, config, content, node, problems, json,
        };
        command.SetAction((parsed, cancellationToken) => RunAsync(
            new Request(
                parsed.GetValue(registry) ?? [],
                parsed.GetValue(mirror) ?? [],
                parsed.GetValue(resolveTags),
                parsed.GetValue(prepend),
                parsed.GetValue(check),
                parsed.GetValue(node),
                parsed.GetValue(problems),
                new PreflightOptions(parsed.GetRequiredValue(certs), parsed.GetRequiredValue(content), parsed.GetValue(socket), parsed.GetValue(config))),
            parsed.GetValue(json),
            cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(Request request, bool json, CancellationToken cancellationToken)
    {
        IReadOnlyList<NodeSetupChange> changes = [];
        ContainerdReading reading;
        PreflightFinding? mirror;
        try
        {
            var settings = request.ToSettings();
            reading = await ContainerdSources.ReadAsync(request.Preflight, TimeProvider.System, Console.Error, cancellationToken);
            mirror = await request.AskMirrorAsync(cancellationToken);
            settings = settings with { Containerd = reading.Settings is { Runtime: ContainerdSettings.Name } containerd ? containerd.Number : null };
            settings.ThrowIfUnreadable();
            if (!request.Check)
            {
                changes = new CertsDirectory(request.Preflight.CertsDirectory, new NodeFiles()).Configure(settings);
            }
        }
        catch (UserErrorException e) when (json)
        {
            NodeSetupReport.Write(new NodeSetupResult([], [], Ok: false, e.Message), json, Console.Out);
            return 1;
        }

        IReadOnlyList<PreflightFinding> findings = [.. PreflightChecks.Check(reading, request.Preflight), .. mirror is null ? Array.Empty<PreflightFinding>() : [mirror]];
        var ok = !request.Check || findings.All(finding => finding.Ok);
        NodeSetupReport.Write(new NodeSetupResult(changes, findings, ok), json, Console.Out);
        await ShowAsync([.. findings.Where(finding => !finding.Ok).Select(finding => finding.Message)], request, cancellationToken);
        return ok ? 0 : 1;
    }

    /// <summary>Shows what stands in the way where people look, since the pod runs all the same.</summary>
    private static async Task ShowAsync(IReadOnlyList<string> problems, Request request, CancellationToken cancellationToken)
    {
        if (request.ProblemsFile is { } file)
        {
            try
            {
                await File.WriteAllLinesAsync(file, problems, cancellationToken);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new UserErrorException($"--problems is '{file}', which cannot be written: {e.Message}");
            }
        }

        if (request.Name is { } node && problems.Count > 0)
        {
            await NodeEvent.CreateAsync(node, problems, kubeconfig: null, Console.Error, cancellationToken);
        }
    }

    private sealed record Request(string[] Registries, string[] Mirrors, bool ResolveTags, bool PrependExisting, bool Check, string? Node, string? ProblemsFile, PreflightOptions Preflight)
    {
        public NodeName? Name => Node is null ? null : NodeName.TryParse(Node, out var name) ? name : throw new UserErrorException($"--node is '{Node}': give {NodeName.Form}.");


        public MirrorSettings ToSettings()
        {
            if (Mirrors.Length == 0 && !Check)
            {
                throw new UserErrorException("--mirror is missing: give the mirror's address, such as http://127.0.0.1:5000.");
            }

            _ = Name;
            return new MirrorSettings(
                MirroredRegistry.ParseAll(Registries),
                [.. Mirrors.Select(mirror => BlobAddress.TryParseSetting(mirror, out var address) ? address : throw new UserErrorException($"--mirror is '{mirror}': give http://host:port.")).Distinct()],
                ResolveTags,
                PrependExisting);
        }

        /// <summary>Further mirrors may be others' than ours. While a pod starts its mirror does not answer yet, and nobody else may.</summary>
        public async Task<PreflightFinding?> AskMirrorAsync(CancellationToken cancellationToken) =>
            (Check || Name is not null) && Mirrors is [var first, ..] ? await MirrorAnswer.CheckAsync(BlobAddress.ParseSetting(first), Name, mustAnswer: Check, cancellationToken) : null;
    }
}
