using System.CommandLine;
using System.Net;
using System.Text.Json;
using SpegelDapr.Contracts;

namespace SpegelDapr.Cli.Explain;

/// <summary><c>spegel-dapr explain</c>: asks a node's mirror where it would get some content from, and why.</summary>
internal static class ExplainCommand
{
    private static readonly TimeSpan Budget = TimeSpan.FromSeconds(10);

    public static Command Create()
    {
        var key = new Argument<string>("key") { Description = "A digest, or an image by its tag such as docker.io/library/nginx:1.27." };
        var mirror = new Option<string>("--mirror") { Description = "The mirror's address, such as http://127.0.0.1:5000.", Required = true };
        var registry = new Option<string?>("--registry") { Description = "For a digest, the registry it comes from, if no manifest has told the mirror." };
        var json = new Option<bool>("--json") { Description = "Print the mirror's JSON." };
        var command = new Command("explain", "Say where a mirror would get a layer or a tag from, and why.") { key, mirror, registry, json };
        command.SetAction((parsed, cancellationToken) => RunAsync(
            parsed.GetRequiredValue(key), parsed.GetRequiredValue(mirror), parsed.GetValue(registry), parsed.GetValue(json), cancellationToken));
        return command;
    }

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

    private static async Task<string> AskAsync(HttpClient http, ContentKey key, string? registry, CancellationToken cancellationToken)
    {
        var query = $"?key={Uri.EscapeDataString(key.ToString())}{(registry is null ? "" : "&ns=" + Uri.EscapeDataString(registry))}";
        try
        {
            using var response = await http.GetAsync(new Uri(Explanation.Path + query, UriKind.Relative), cancellationToken);
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
