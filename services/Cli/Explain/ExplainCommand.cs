using System.CommandLine;
using System.Net;
using System.Text.Json;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Explain;

/// <summary>
/// <c>spegel-dapr explain</c>: asks a node's mirror where it would get some content from, and why; or where it has got what it was asked for last.
/// </summary>
internal static class ExplainCommand
{
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(10);

    /// <summary>How many of the slowest transfers are printed.</summary>
    private const int MostSlow = 20;

    public static Command Create()
    {
        var key = new Argument<string?>("key")
        {
            Description = "A digest, or an image by its tag such as docker.io/library/nginx:1.27; with --last or --slow it may be left out.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var mirror = new Option<string>("--mirror") { Description = "The mirror's address, such as http://127.0.0.1:5000.", Required = true };
        var registry = new Option<string?>("--registry") { Description = "For a digest, the registry it comes from, if no manifest has told the mirror." };
        var last = new Option<bool>("--last") { Description = "Say how the node's last pull of it went, or all that it remembers. Only the node itself is told." };
        var slow = new Option<bool>("--slow") { Description = "Say how those went that took longest. Only the node itself is told." };
        var json = new Option<bool>("--json") { Description = "Print JSON." };
        var command = new Command("explain", "Say where a mirror would get a layer or a tag from, and why, or where it got it from.") { key, mirror, registry, last, slow, json };
        command.SetAction((parsed, cancellationToken) =>
        {
            var (text, server, isJson) = (parsed.GetValue(key), parsed.GetRequiredValue(mirror), parsed.GetValue(json));
            return parsed.GetValue(last) || parsed.GetValue(slow) ? RecallAsync(text, server, parsed.GetValue(slow), isJson, cancellationToken)
                : text is null ? throw new UserErrorException("Say of what: give a digest or an image, or --last or --slow.")
                : RunAsync(text, server, parsed.GetValue(registry), isJson, cancellationToken);
        });
        return command;
    }

    private static async Task<int> RecallAsync(string? text, string mirror, bool isSlow, bool json, CancellationToken cancellationToken)
    {
        var key = text is null ? (ContentKey?)null : KeyOf(text);
        using var http = Servers.Connect("--mirror", mirror);
        http.Timeout = Budget;
        var answer = await GetAsync(http, RecordedTransfers.Path, cancellationToken);
        var recorded = JsonSerializer.Deserialize(answer, ContractsJson.Default.RecordedTransfers)!;
        var transfers = key is null ? recorded.Transfers : PullOf(key.Value, recorded.Transfers);
        recorded = recorded with { Transfers = isSlow ? [.. transfers.OrderByDescending(SecondsOf).Take(MostSlow)] : transfers };
        if (recorded.Transfers.Count == 0)
        {
            throw new UserErrorException(
                $"{recorded.Node} remembers no pull{(text is null ? "" : $" of {text}")}: its containerd has asked for none since its mirror started, or for {RecordedTransfers.MaxTransfers} others since.");
        }

        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(recorded, ContractsJson.Default.RecordedTransfers));
        }
        else
        {
            TransfersReport.Write(recorded, Console.Out);
        }

        return 0;
    }

    /// <summary>What the node asked for in its last pull of an image, from the request for its tag on; for a digest, all requests for that.</summary>
    private static IReadOnlyList<RecordedTransfer> PullOf(ContentKey key, IReadOnlyList<RecordedTransfer> latestFirst)
    {
        if (!key.IsTag)
        {
            return [.. latestFirst.Where(transfer => transfer.Digest == key.Digest)];
        }

        var image = ImageReference.Parse(key.ToString());
        var ofRepository = latestFirst.Where(transfer => transfer.Registry == image.Registry && transfer.Repository == image.Repository).ToList();
        var began = ofRepository.FindIndex(transfer => transfer.Tag == image.Tag);

        // containerd asks for a tag by HEAD, and then may ask for it by GET.
        while (began >= 0 && began + 1 < ofRepository.Count && ofRepository[began + 1].Tag == image.Tag)
        {
            began++;
        }

        return ofRepository[..(began + 1)];
    }

    private static double SecondsOf(RecordedTransfer transfer) => transfer.Seconds + (transfer.Upstream?.Seconds ?? 0);

    private static async Task<int> RunAsync(string text, string mirror, string? registry, bool json, CancellationToken cancellationToken)
    {
        var key = KeyOf(text);
        if (registry is not null && !ImageReference.IsRegistry(registry))
        {
            throw new UserErrorException($"--registry is '{registry}': give a host or host:port, such as docker.io.");
        }

        using var http = Servers.Connect("--mirror", mirror);
        http.Timeout = Budget;
        var answer = await AskAsync(http, key, registry, cancellationToken);
        if (json)
        {
            Console.WriteLine(answer);
        }
        else
        {
            ExplainReport.Write(JsonSerializer.Deserialize(answer, ContractsJson.Default.Explanation)!, Console.Out);
        }

        return 0;
    }

    /// <summary>The key of a digest, or of an image as people write it: <c>nginx</c> is <c>docker.io/library/nginx:latest</c>.</summary>
    private static ContentKey KeyOf(string text) =>
        ContentKey.TryParse(text, out var key) ? key
        : ImageReference.TryParse(text, out var image) ? image.Digest ?? ContentKey.Parse(image.ToString())
        : throw new UserErrorException($"'{text}' is not {ContentKey.Form}.");

    private static Task<string> AskAsync(HttpClient http, ContentKey key, string? registry, CancellationToken cancellationToken) => GetAsync(
        http,
        $"{Explanation.Path}?key={Uri.EscapeDataString(key.ToString())}{(registry is null ? "" : "&ns=" + Uri.EscapeDataString(registry))}",
        cancellationToken);

    private static async Task<string> GetAsync(HttpClient http, string path, CancellationToken cancellationToken)
    {
        try
        {
            using var response = await http.GetAsync(new Uri(path, UriKind.Relative), cancellationToken);
            return response.StatusCode == HttpStatusCode.OK
                ? await response.Content.ReadAsStringAsync(cancellationToken)
                : throw new UserErrorException($"{http.BaseAddress} answered {(int)response.StatusCode} {response.ReasonPhrase}: it is no mirror, or does not answer this machine.");
        }
        catch (HttpRequestException e)
        {
            throw new UserErrorException($"{http.BaseAddress} cannot be asked: {e.Message}");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new UserErrorException($"{http.BaseAddress} does not answer within {Budget.TotalSeconds} s.");
        }
    }
}
