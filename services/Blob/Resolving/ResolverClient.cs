using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Dapr.Client;
using Microsoft.Extensions.Options;
using Polly;
using Polly.CircuitBreaker;
using Polly.Hedging;
using Polly.Timeout;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Blob.Resolving;

/// <summary>
/// Asks the zone's resolvers over Dapr service invocation, which takes the replicas in turn, also one that hangs. So a question that is late is asked
/// again, of the next one, and the first good answer counts; an error or an answer that does not fit is asked again at once. When one replica has been
/// late and the next has not, questions are asked twice from the start for some time; when all are late, hardly any is asked again
/// (<see cref="RepetitionBudget"/>). After some questions that nobody has answered none is asked for a moment, so that an image of forty layers does not
/// wait forty times for resolvers that are gone.
/// </summary>
internal sealed partial class ResolverClient : IDisposable
{
    private const int MostAnswerBytes = 16 * 1024 * 1024;
    private const int MostReasonBytes = 512;

    /// <summary>How often a question is asked again, and after which part of the budget.</summary>
    private const int MostRepetitions = 3;
    private const int BudgetParts = 5;

    /// <summary>
    /// For how long a replica that was outrun has questions asked twice from the start. A replica that hangs is noticed anew by one question in this time,
    /// since of two answers at once the later is not waited for.
    /// </summary>
    private static readonly TimeSpan DoubtLasts = TimeSpan.FromSeconds(10);

    /// <summary>Over how long failures count.</summary>
    private static readonly TimeSpan ShortestSampling = TimeSpan.FromSeconds(2);

    private readonly HttpClient _http;
    private readonly ResiliencePipeline<object> _pipeline;
    private readonly TimeSpan _lateAfter;
    private readonly NodeIdentity _node;
    private readonly BlobMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly RepetitionBudget _repetitions = new();
    private readonly LogThrottle _lateThrottle;
    private readonly ILogger _logger;
    private long _doubtedUntil;

    public ResolverClient(
        DaprClient dapr,
        IOptions<NodeOptions> node,
        IOptions<BlobOptions> options,
        BlobMetrics metrics,
        TimeProvider time,
        ILogger<ResolverClient> logger)
        : this(dapr.CreateInvokableHttpClient(DaprNames.Resolver(node.Value.Location.Zone)), node, options, metrics, time, logger)
    {
    }

    /// <param name="http">Invokes the zone's resolvers; disposed of with this.</param>
    /// <param name="node">This node.</param>
    /// <param name="options">The budget.</param>
    /// <param name="metrics">Counts.</param>
    /// <param name="time">Measures.</param>
    /// <param name="logger">Is told when no resolver answers.</param>
    internal ResolverClient(
        HttpClient http,
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
        _http = http;
        _http.Timeout = Timeout.InfiniteTimeSpan;
        _http.MaxResponseContentBufferSize = MostAnswerBytes;
        _lateThrottle = new LogThrottle(time);
        var budget = options.Value.ResolveBudget;
        _lateAfter = budget / BudgetParts;
        _pipeline = new ResiliencePipelineBuilder<object> { TimeProvider = time }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions<object>
            {
                // Whole questions count: with one of two replicas hanging hardly any fails.
                FailureRatio = 0.9,
                MinimumThroughput = 3,
                SamplingDuration = budget * 4 < ShortestSampling ? ShortestSampling : budget * 4,
                BreakDuration = TimeSpan.FromSeconds(2),
                ShouldHandle = new PredicateBuilder<object>().Handle<HttpRequestException>().Handle<JsonException>().Handle<TimeoutRejectedException>(),
            })
            .AddTimeout(budget)
            .AddHedging(new HedgingStrategyOptions<object>
            {
                MaxHedgedAttempts = MostRepetitions,
                ShouldHandle = new PredicateBuilder<object>().Handle<HttpRequestException>().Handle<JsonException>(),

                // The first repetition is number 1.
                DelayGenerator = asked => ValueTask.FromResult(asked.AttemptNumber == 1 && IsInDoubt ? TimeSpan.Zero : _lateAfter),
                ActionGenerator = asked =>
                    (asked.AttemptNumber == 1 && IsInDoubt) || _repetitions.TryTake() ? () => asked.Callback(asked.ActionContext) : null,
            })
            .Build();
    }

    private bool IsInDoubt => _time.GetTimestamp() < Interlocked.Read(ref _doubtedUntil);

    /// <summary>
    /// Who holds the keys, at most <see cref="ResolveRequest.MaxKeys"/>, in their order; null when no resolver answers in time.
    /// </summary>
    /// <param name="keys">The keys.</param>
    /// <param name="cancellation">Ends the question.</param>
    /// <param name="fetching">As in <see cref="ResolveRequest"/>.</param>
    public async Task<ResolveAnswer?> ResolveAsync(IReadOnlyList<ContentKey> keys, CancellationToken cancellation, Fetching? fetching = null)
    {
        var started = _time.GetTimestamp();
        var answer = await WithinBudgetAsync(token => AskAsync(keys, fetching, token), cancellation);
        _metrics.Resolved(_time.GetElapsedTime(started), answer is null ? "unavailable" : "answered");
        return answer;
    }

    /// <summary>The node as the resolver knows it; null when no resolver answers in time.</summary>
    public Task<NodeAnswer?> FindAsync(PeerClaim node, CancellationToken cancellation) => WithinBudgetAsync(
        token => GetAsync(NodeAnswer.Method(node), ContractsJson.Default.NodeAnswer, answer => AnswerCheck.Fits(answer, node), token), cancellation);

    /// <summary>Whom this node is to follow for content that it is about to fetch; null when no resolver answers in time.</summary>
    /// <param name="digest">The content.</param>
    /// <param name="failed">As in <see cref="FollowRequest"/>.</param>
    /// <param name="declined">As in <see cref="FollowRequest"/>.</param>
    /// <param name="holders">As in <see cref="FollowRequest"/>.</param>
    /// <param name="slow">As in <see cref="FollowRequest"/>.</param>
    /// <param name="order">As in <see cref="FollowRequest"/>.</param>
    /// <param name="cancellation">Ends the question.</param>
    public Task<FollowAnswer?> FollowAsync(
        Digest digest,
        IReadOnlyList<NodeName> failed,
        IReadOnlyList<NodeName> declined,
        IReadOnlyList<NodeName> holders,
        NodeName? slow,
        long? order,
        CancellationToken cancellation) =>
        FollowAsync(new FollowRequest(_node.Name, _node.Location, digest, Latest(failed), holders, slow, Latest(declined), order), cancellation);

    /// <summary>Tells the resolver that this node has left a slow one by itself, or is slow itself, so that nobody else is told to follow that one.</summary>
    /// <param name="digest">The content.</param>
    /// <param name="slow">The slow node.</param>
    /// <param name="holders">As in <see cref="FollowRequest"/>: former versions take this for a question.</param>
    /// <param name="order">As in <see cref="FollowRequest"/>.</param>
    /// <param name="cancellation">Ends the message.</param>
    public Task TellSlowAsync(Digest digest, NodeName slow, IReadOnlyList<NodeName> holders, long? order, CancellationToken cancellation) =>
        FollowAsync(new FollowRequest(_node.Name, _node.Location, digest, [], holders, slow, Order: order, OnlyTells: true), cancellation);

    private Task<FollowAnswer?> FollowAsync(FollowRequest question, CancellationToken cancellation) => WithinBudgetAsync(
        token => PostAsync(
            FollowRequest.Method,
            question,
            ContractsJson.Default.FollowRequest,
            ContractsJson.Default.FollowAnswer,
            answer => AnswerCheck.Fits(answer, question.Digest),
            token),
        cancellation);

    private static IReadOnlyList<NodeName> Latest(IReadOnlyList<NodeName> nodes) => [.. nodes.TakeLast(FollowRequest.MaxFailed)];

    /// <summary>Who of this node's zone is fetching content now; null when no resolver answers in time.</summary>
    public Task<InFlightAnswer?> FindInFlightAsync(Digest digest, CancellationToken cancellation) => WithinBudgetAsync(
        token => GetAsync(
            InFlightAnswer.Method(_node.Location, digest), ContractsJson.Default.InFlightAnswer, answer => AnswerCheck.Fits(answer, digest), token),
        cancellation);

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private async Task<T?> WithinBudgetAsync<T>(Func<CancellationToken, Task<T>> ask, CancellationToken cancellation)
        where T : class
    {
        _repetitions.Asked();
        var calls = new Calls();
        try
        {
            return (T)await _pipeline.ExecuteAsync(async token => await WatchAsync(ask, calls, token), cancellation);
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

    /// <summary>Asks one replica, and notes when it is late and a later call has been answered before it.</summary>
    private async Task<T> WatchAsync<T>(Func<CancellationToken, Task<T>> ask, Calls calls, CancellationToken cancellation)
    {
        var began = _time.GetTimestamp();
        var call = calls.Begin();
        try
        {
            var answer = await ask(cancellation);
            calls.Answered(call);
            return answer;
        }
        finally
        {
            if (calls.IsOutrun(call) && _time.GetElapsedTime(began) >= _lateAfter)
            {
                _repetitions.Helped();
                Interlocked.Exchange(ref _doubtedUntil, _time.GetTimestamp() + (long)(DoubtLasts.TotalSeconds * _time.TimestampFrequency));
                if (_lateThrottle.IsOpen())
                {
                    Log.Outrun(_logger, _lateAfter.TotalMilliseconds, DoubtLasts.TotalSeconds);
                }
            }
        }
    }

    private Task<ResolveAnswer> AskAsync(IReadOnlyList<ContentKey> keys, Fetching? fetching, CancellationToken cancellation) => PostAsync(
        ResolveRequest.Method,
        new ResolveRequest(_node.Name, _node.Location, keys, fetching),
        ContractsJson.Default.ResolveRequest,
        ContractsJson.Default.ResolveAnswer,
        answer => AnswerCheck.Fits(answer, keys),
        cancellation);

    private async Task<TAnswer> GetAsync<TAnswer>(string method, JsonTypeInfo<TAnswer> type, Func<TAnswer, bool> fits, CancellationToken cancellation)
    {
        using var response = await _http.GetAsync(new Uri(method, UriKind.Relative), cancellation);
        return await ReadAsync(response, type, fits, cancellation);
    }

    private async Task<TAnswer> PostAsync<TQuestion, TAnswer>(
        string method,
        TQuestion question,
        JsonTypeInfo<TQuestion> questionType,
        JsonTypeInfo<TAnswer> answerType,
        Func<TAnswer, bool> fits,
        CancellationToken cancellation)
    {
        using var content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(question, questionType));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        using var response = await _http.PostAsync(new Uri(method, UriKind.Relative), content, cancellation);
        return await ReadAsync(response, answerType, fits, cancellation);
    }

    private static async Task<TAnswer> ReadAsync<TAnswer>(
        HttpResponseMessage response, JsonTypeInfo<TAnswer> type, Func<TAnswer, bool> fits, CancellationToken cancellation)
    {
        var body = await response.Content.ReadAsByteArrayAsync(cancellation);
        if (!response.IsSuccessStatusCode)
        {
            // Dapr's sidecar says in the body what is in the way: no such app, or its access control.
            var reason = Encoding.UTF8.GetString(body.AsSpan(0, Math.Min(body.Length, MostReasonBytes))).ReplaceLineEndings(" ");
            throw new HttpRequestException($"{(int)response.StatusCode} {reason}", null, response.StatusCode);
        }

        return JsonSerializer.Deserialize(body, type) is { } answer && fits(answer)
            ? answer
            : throw new JsonException("The answer is not one to the question.");
    }

    /// <summary>The calls that one question has made, by their number from 1 on.</summary>
    private sealed class Calls
    {
        private int _begun;
        private int _answered;

        public int Begin() => Interlocked.Increment(ref _begun);

        /// <summary>The first answer counts.</summary>
        public void Answered(int call) => Interlocked.CompareExchange(ref _answered, call, 0);

        /// <summary>Whether a later call was answered first.</summary>
        public bool IsOutrun(int call) => Volatile.Read(ref _answered) > call;
    }

    private static partial class Log
    {
        [LoggerMessage(LogLevel.Warning, "No resolver answers, so requests go upstream: {Reason}")]
        public static partial void Unavailable(ILogger logger, string reason);

        [LoggerMessage(
            LogLevel.Warning,
            "A resolver has not answered within {Milliseconds} ms, but another has. For {Seconds} s each question is asked twice at once.")]
        public static partial void Outrun(ILogger logger, double milliseconds, double seconds);
    }
}
