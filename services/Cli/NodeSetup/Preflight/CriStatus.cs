using System.Net.Sockets;
using System.Text.Json;
using Grpc.Core;
using SpegelDapr.Cli.NodeSetup.Cri;
using SpegelDapr.Discovery.Containerd;

namespace SpegelDapr.Cli.NodeSetup.Preflight;

/// <summary>
/// What the running containerd says of itself over CRI. Before version 2 its status has the whole CRI configuration; since then it lacks what
/// concerns images, which is a plugin of its own.
/// </summary>
internal static class CriStatus
{
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(5);

    /// <summary>Asks containerd.</summary>
    /// <exception cref="UserErrorException">It cannot be asked.</exception>
    public static async Task<ContainerdSettings> ReadAsync(string socket, CancellationToken cancellationToken)
    {
        if (!File.Exists(socket))
        {
            throw CannotBeAsked(socket, "it does not exist");
        }

        try
        {
            using var channel = ContainerdChannel.Open(socket);
            var runtime = new RuntimeService.RuntimeServiceClient(channel);
            var deadline = DateTime.UtcNow + Budget;
            var version = await runtime.VersionAsync(new VersionRequest(), deadline: deadline, cancellationToken: cancellationToken);
            var status = await runtime.StatusAsync(new StatusRequest { Verbose = true }, deadline: deadline, cancellationToken: cancellationToken);
            return Read(socket, version, status.Info.TryGetValue("config", out var json) ? json : "{}");
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.Unimplemented)
        {
            throw new UserErrorException($"{socket} does not speak CRI v1: enable containerd's CRI plugin, and use containerd {PreflightChecks.OldestVersion} or later.");
        }
        catch (Exception e) when (e is RpcException or JsonException or InvalidOperationException or ArgumentException)
        {
            throw CannotBeAsked(socket, ReasonOf(e));
        }
    }

    /// <summary>What it has answered.</summary>
    public static ContainerdSettings Read(string socket, VersionResponse version, string json)
    {
        using var config = JsonDocument.Parse(json);
        var registry = Find(config.RootElement, "registry");
        return new ContainerdSettings(socket)
        {
            Runtime = version.RuntimeName,
            Version = version.RuntimeVersion,
            IsCriDisabled = false,
            ConfigPath = Find(config.RootElement, "registry", "configPath")?.GetString(),
            DiscardsUnpackedLayers = Find(config.RootElement, "containerd", "discardUnpackedLayers")?.GetBoolean(),
            HasMirrors = registry is { } one ? Members(one, "mirrors").Any() : null,
            HasTls = registry is { } other ? Members(other, "configs").Any(host => Find(host.Value, "tls") is { ValueKind: JsonValueKind.Object }) : null,
            Root = Find(config.RootElement, "containerdRootDir")?.GetString(),
        };
    }

    private static string ReasonOf(Exception e) =>
        e is not RpcException rpc ? e.Message
        : (rpc.Status.DebugException as SocketException ?? rpc.Status.DebugException?.InnerException as SocketException)?.Message ?? rpc.Status.Detail;

    private static UserErrorException CannotBeAsked(string socket, string reason) =>
        new($"{socket} cannot be asked ({reason.TrimEnd('.')}): give containerd's socket as --containerd-sock, and run as root.");

    private static JsonElement.ObjectEnumerator Members(JsonElement element, string name) =>
        Find(element, name) is { ValueKind: JsonValueKind.Object } found ? found.EnumerateObject() : default;

    private static JsonElement? Find(JsonElement element, params IEnumerable<string> names)
    {
        foreach (var name in names)
        {
            if (element.ValueKind != JsonValueKind.Object || !element.TryGetProperty(name, out element))
            {
                return null;
            }
        }

        return element;
    }
}
