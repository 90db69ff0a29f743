using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Dapr.Client;
using Microsoft.Extensions.Options;
using Polly;
using Polly.CircuitBreaker;
using Polly.Timeout;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Holders;

/// <summary>
/// Asks the zone's resolvers over Dapr service invocation. Each question has its budget; after some failures none is asked for a
/// moment, so that an image of forty layers does not wait forty times for a resolver that is gone.
/// </summary>
internal sealed partial class ResolverClient : IDisposable
{
    private const int MostAnswerBytes = 16 * 1024 * 1024;

    private readonly HttpClient _http;
    private readonly ResiliencePipeline _pipeline;
    private readonly NodeIdentity _node;
    private readonly BlobMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;

    public ResolverClient(
        DaprClient dapr,
        IOptions<NodeOptions> node,
        IOptions<BlobOptions> options,
        BlobMetrics metrics,
        TimeProvider time,
        ILogger<ResolverClient> logger)
    {
        _node = node.Value.Identity;
        _metrics = metrics;
        _time = time;
        _logger = logger;
        _http = dapr.CreateInvokableHttpClient(DaprNames.Resolver(_node.Location.Zone));
        _http.Timeout = Timeout.InfiniteTimeSpan;
        _http.MaxResponseContentBufferSize = MostAnswerBytes;
        _pipeline = new ResiliencePipelineBuilder { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions
            {
                FailureRatio = 0.5,
                MinimumThroughput = 3,
                SamplingDuration = TimeSpan.FromSeconds(10),
                BreakDuration = TimeSpan.FromSeconds(2),
                ShouldHandle = new PredicateBuilder()
                    .Handle<HttpRequestException>()
                    .Handle<TimeoutRejectedException>()
                    .Handle<JsonException>(),
            })
            .AddTimeout(options.Value.ResolveBudget)
            .Build();
    }

    /// <summary>
    /// Who holds the keys, at most <see cref="ResolveRequest.MaxKeys"/>, in their order; null when no resolver answers in time.
    /// </summary>
    public async Task<IReadOnlyList<ResolvedKey>?> ResolveAsync(IReadOnlyList<ContentKey> keys, CancellationToken cancellation)
    {
        var started = _time.GetTimestamp();
        try
        {
            var answer = await _pipeline.ExecuteAsync(async token => await AskAsync(keys, token), cancellation);
            _metrics.Resolved(_time.GetElapsedTime(started), "answered");
            return answer;
        }
        catch (BrokenCircuitException)
        {
            // What broke it has been logged.
        }
        catch (Exception e) when (e is HttpRequestException or TimeoutRejectedException or JsonException)
        {
            Log.Unavailable(_logger, e.Message);
        }

        _metrics.Resolved(_time.GetElapsedTime(started), "unavailable");
        return null;
    }

    /// <summary>The node as the resolver knows it; null when it is not alive and in reach, or when no resolver answers in time.</summary>
    public async Task<NodeIdentity?> FindNodeAsync(PeerClaim node, CancellationToken cancellation)
    {
        try
        {
            return await _pipeline.ExecuteAsync(async token => await FindAsync(node, token), cancellation);
        }
        catch (BrokenCircuitException)
        {
            // What broke it has been logged.
        }
        catch (Exception e) when (e is HttpRequestException or TimeoutRejectedException or JsonException)
        {
            Log.Unavailable(_logger, e.Message);
        }

        return null;
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private async Task<NodeIdentity?> FindAsync(PeerClaim node, CancellationToken cancellation)
    {
        using var response = await _http.GetAsync(new Uri(NodeLookup.Method(node), UriKind.Relative), cancellation);
        if (response.StatusCode == HttpStatusCode.NotFound)
        {
            return null;
        }

        response.EnsureSuccessStatusCode();
        return JsonSerializer.Deserialize(await response.Content.ReadAsByteArrayAsync(cancellation), ContractsJson.Default.NodeIdentity);
    }

    private async Task<IReadOnlyList<ResolvedKey>> AskAsync(IReadOnlyList<ContentKey> keys, CancellationToken cancellation)
    {
        using var question = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(
            new ResolveRequest(_node.Name, _node.Location, keys), ContractsJson.Default.ResolveRequest));
        question.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var response = await _http.PostAsync(new Uri(ResolveRequest.Method, UriKind.Relative), question, cancellation);
        response.EnsureSuccessStatusCode();
        var answer = JsonSerializer.Deserialize(
            await response.Content.ReadAsByteArrayAsync(cancellation), ContractsJson.Default.ResolveAnswer);
        return answer is not null && answer.Keys.Select(key => key.Key).SequenceEqual(keys)
            ? answer.Keys
            : throw new JsonException("The answer does not list the keys of the question.");
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "No resolver answers, so requests go upstream: {Reason}")]
        public static partial void Unavailable(ILogger logger, string reason);
    }
}
