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
    private static readonly TimeSpan AttemptBudget = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AttemptInterval = TimeSpan.FromSeconds(1);

    /// <summary>How long a containerd that does not answer is waited for. One that starts takes seconds, with thousands of containers tens of them.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Asks containerd, again and again while it does not answer or is not there, as while it starts.</summary>
    /// <param name="socket">Its socket.</param>
    /// <param name="time">Counts the wait.</param>
    /// <param name="progress">Is told once that containerd is waited for.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="UserErrorException">It cannot be asked.</exception>
    /// <exception cref="ContainerdSilentException">It has not answered in a minute.</exception>
    public static async Task<ContainerdSettings> ReadAsync(string socket, TimeProvider time, TextWriter progress, CancellationToken cancellationToken)
    {
        if (!Directory.Exists(Path.GetDirectoryName(Path.GetFullPath(socket))))
        {
            throw CannotBeAsked(socket, "its directory does not exist");
        }

        var started = time.GetTimestamp();
        for (var isFirst = true; ; isFirst = false)
        {
            string silence;
            try
            {
                return await AskAsync(socket, time, cancellationToken);
            }
            catch (RpcException e) when (IsStarting(e))
            {
                silence = File.Exists(socket) ? ReasonOf(e) : "it does not exist";
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                silence = $"no answer within {AttemptBudget.TotalSeconds} s";
            }
            catch (Exception e) when (e is RpcException or JsonException or InvalidOperationException or ArgumentException)
            {
                throw CannotBeAsked(socket, ReasonOf(e));
            }

            if (time.GetElapsedTime(started) >= Patience)
            {
                throw new ContainerdSilentException(
                    $"{socket} has not answered for {Patience.TotalSeconds} s ({silence.TrimEnd('.')}): see what containerd logs, and run this again when it is up.");
            }

            if (isFirst)
            {
                await progress.WriteLineAsync($"{socket} does not answer yet ({silence.TrimEnd('.')}). It is waited for, {Patience.TotalSeconds} s at most.");
            }

            await Task.Delay(AttemptInterval, time, cancellationToken);
        }
    }

    private static async Task<ContainerdSettings> AskAsync(string socket, TimeProvider time, CancellationToken cancellationToken)
    {
        using var end = new CancellationTokenSource(AttemptBudget, time);
        using var attempt = CancellationTokenSource.CreateLinkedTokenSource(end.Token, cancellationToken);
        try
        {
            using var channel = ContainerdChannel.Open(socket);
            var runtime = new RuntimeService.RuntimeServiceClient(channel);
            var version = await runtime.VersionAsync(new VersionRequest(), cancellationToken: attempt.Token);
            var status = await runtime.StatusAsync(new StatusRequest { Verbose = true }, cancellationToken: attempt.Token);
            return Read(socket, version, status.Info.TryGetValue("config", out var json) ? json : "{}");
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.Unimplemented)
        {
            throw new UserErrorException($"{socket} does not speak CRI v1: enable containerd's CRI plugin, and use containerd {PreflightChecks.OldestVersion} or later.");
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

    /// <summary>
    /// Whether containerd is perhaps on its way up. Its CRI plugin says until then that it is not initialized: from 2.0 on as UNAVAILABLE, before as
    /// UNKNOWN (pkg/cri/instrument/instrumented_service.go). A socket is not there while containerd restarts.
    /// </summary>
    private static bool IsStarting(RpcException e) => e.StatusCode switch
    {
        StatusCode.Unavailable => SocketErrorOf(e)?.SocketErrorCode != SocketError.AccessDenied,
        StatusCode.Unknown => e.Status.Detail.Contains("not initialized", StringComparison.Ordinal),
        _ => false,
    };

    private static string ReasonOf(Exception e) => e is RpcException rpc ? SocketErrorOf(rpc)?.Message ?? rpc.Status.Detail : e.Message;

    private static SocketException? SocketErrorOf(RpcException e) =>
        e.Status.DebugException as SocketException ?? e.Status.DebugException?.InnerException as SocketException;

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

/// <summary>containerd is there and has not answered in time. What it is decides how its files are written, so nothing is changed.</summary>
internal sealed class ContainerdSilentException(string message) : UserErrorException(message);
