using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
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
    private const int MostReasonChars = 512;

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
        var answer = await WithinBudgetAsync(token => AskAsync(keys, token), cancellation);
        _metrics.Resolved(_time.GetElapsedTime(started), answer is null ? "unavailable" : "answered");
        return answer;
    }

    /// <summary>The node as the resolver knows it; null when no resolver answers in time.</summary>
    public Task<NodeAnswer?> FindAsync(PeerClaim node, CancellationToken cancellation) => WithinBudgetAsync(
        token => GetAsync(NodeAnswer.Method(node), ContractsJson.Default.NodeAnswer, token), cancellation);

    /// <summary>Whom this node is to follow for content that it is about to fetch; null when no resolver answers in time.</summary>
    public Task<FollowAnswer?> FollowAsync(Digest digest, IReadOnlyList<NodeName> failed, CancellationToken cancellation) => WithinBudgetAsync(
        token => PostAsync(
            FollowRequest.Method,
            new FollowRequest(_node.Name, _node.Location, digest, failed),
            ContractsJson.Default.FollowRequest,
            ContractsJson.Default.FollowAnswer,
            token),
        cancellation);

    /// <summary>Who of this node's zone is fetching content now; null when no resolver answers in time.</summary>
    public Task<InFlightAnswer?> FindInFlightAsync(Digest digest, CancellationToken cancellation) => WithinBudgetAsync(
        token => GetAsync(InFlightAnswer.Method(_node.Location, digest), ContractsJson.Default.InFlightAnswer, token), cancellation);

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private async Task<T?> WithinBudgetAsync<T>(Func<CancellationToken, Task<T>> ask, CancellationToken cancellation)
        where T : class
    {
        try
        {
            return await _pipeline.ExecuteAsync(async token => await ask(token), cancellation);
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

    private async Task<IReadOnlyList<ResolvedKey>> AskAsync(IReadOnlyList<ContentKey> keys, CancellationToken cancellation)
    {
        var answer = await PostAsync(
            ResolveRequest.Method,
            new ResolveRequest(_node.Name, _node.Location, keys),
            ContractsJson.Default.ResolveRequest,
            ContractsJson.Default.ResolveAnswer,
            cancellation);
        return answer.Keys.Select(key => key.Key).SequenceEqual(keys)
            ? answer.Keys
            : throw new JsonException("The answer does not list the keys of the question.");
    }

    private async Task<TAnswer> GetAsync<TAnswer>(string method, JsonTypeInfo<TAnswer> type, CancellationToken cancellation)
    {
        using var response = await _http.GetAsync(new Uri(method, UriKind.Relative), cancellation);
        return await ReadAsync(response, type, cancellation);
    }

    private async Task<TAnswer> PostAsync<TQuestion, TAnswer>(
        string method, TQuestion question, JsonTypeInfo<TQuestion> questionType, JsonTypeInfo<TAnswer> answerType, CancellationToken cancellation)
    {
        using var content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(question, questionType));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var response = await _http.PostAsync(new Uri(method, UriKind.Relative), content, cancellation);
        return await ReadAsync(response, answerType, cancellation);
    }

    private static async Task<TAnswer> ReadAsync<TAnswer>(HttpResponseMessage response, JsonTypeInfo<TAnswer> type, CancellationToken cancellation)
    {
        if (!response.IsSuccessStatusCode)
        {
            // Dapr's sidecar says in the body what is in the way: no such app, or its access control.
            var reason = (await response.Content.ReadAsStringAsync(cancellation)).ReplaceLineEndings(" ");
            throw new HttpRequestException($"{(int)response.StatusCode} {reason[..Math.Min(reason.Length, MostReasonChars)]}", null, response.StatusCode);
        }

        return JsonSerializer.Deserialize(await response.Content.ReadAsByteArrayAsync(cancellation), type) ?? throw new JsonException("The answer is null.");
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "No resolver answers, so requests go upstream: {Reason}")]
        public static partial void Unavailable(ILogger logger, string reason);
    }
}
