using System.Collections.Concurrent;
using System.Net.Http.Json;
using System.Text.Json;
using System.Threading.Channels;
using Dapr.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace SpegelDapr.LocalDapr.Tests.Support;

/// <summary>A delivery to an app.</summary>
internal sealed record Received(string Path, JsonElement Event, IHeaderDictionary Headers)
{
    public string Text(string attribute) => Event.GetProperty(attribute).ToString();
}

/// <summary>An app behind a sidecar. It takes deliveries, answers as told, and echoes every other request.</summary>
internal sealed class TestApp : IAsyncDisposable
{
    private readonly Channel<Received> _received = Channel.CreateUnbounded<Received>();
    private readonly SemaphoreSlim _hung = new(0);
    private readonly SemaphoreSlim _hungUp = new(0);
    private readonly WebApplication _app;
    private int _asked;

    public TestApp(string appId, object[] subscriptions)
    {
        (AppId, Subscriptions) = (appId, subscriptions);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls($"http://127.0.0.1:{Port}");
        _app = builder.Build();
        _app.MapGet("/dapr/subscribe", () =>
        {
            Interlocked.Increment(ref _asked);
            return Subscriptions;
        });
        _app.MapPost("/events/{**rest}", async (HttpContext context) =>
        {
            var received = new Received(
                context.Request.Path, await context.Request.ReadFromJsonAsync<JsonElement>(), new HeaderDictionary(context.Request.Headers.ToDictionary()));
            var answer = Answers.TryDequeue(out var next) ? next : Results.Json(new { status = "SUCCESS" });
            _received.Writer.TryWrite(received);
            return answer;
        });
        _app.MapFallback(async (HttpContext context) =>
        {
            if (Hangs)
            {
                context.RequestAborted.Register(() => _hungUp.Release());
                _hung.Release();
                await Task.Delay(Timeout.InfiniteTimeSpan, context.RequestAborted);
            }

            context.Response.Headers["x-app"] = appId;
            context.Response.StatusCode = int.TryParse(context.Request.Query["status"], out var status) ? status : 200;
            using var reader = new StreamReader(context.Request.Body);
            await context.Response.WriteAsJsonAsync(new Dictionary<string, string>
            {
                ["app"] = AppId,
                ["port"] = $"{Port}",
                ["method"] = context.Request.Method,
                ["path"] = context.Request.Path,
                ["query"] = context.Request.QueryString.Value ?? "",
                ["body"] = await reader.ReadToEndAsync(),
                ["token"] = context.Request.Headers["dapr-api-token"].ToString(),
                ["header"] = context.Request.Headers["x-test"].ToString(),
                ["caller"] = context.Request.Headers["dapr-caller-app-id"].ToString(),
            });
        });
    }

    public string AppId { get; }

    public int Port { get; } = FreePorts.Next();

    /// <summary>What it answers when its sidecar asks what it subscribes to.</summary>
    public object[] Subscriptions { get; set; }

    /// <summary>How often its sidecar has asked for them.</summary>
    public int Asked => Volatile.Read(ref _asked);

    /// <summary>What to answer to the next deliveries; SUCCESS once there is nothing left.</summary>
    public ConcurrentQueue<IResult> Answers { get; } = new();

    /// <summary>Whether it leaves what it would echo without an answer.</summary>
    public bool Hangs { get; set; }

    /// <summary>A client of the sidecar, with its token where it wants one.</summary>
    public DaprClient Dapr { get; private set; } = null!;

    /// <summary>The sidecar's HTTP API.</summary>
    public HttpClient Http { get; private set; } = null!;

    public Task StartAsync() => _app.StartAsync();

    public void Connect(string httpEndpoint, string grpcEndpoint, string? token)
    {
        Dapr = new DaprClientBuilder().UseHttpEndpoint(httpEndpoint).UseGrpcEndpoint(grpcEndpoint).UseDaprApiToken(token ?? "").Build();
        Http = new HttpClient { BaseAddress = new Uri(httpEndpoint), Timeout = Eventually.Deadline };
        if (token is not null)
        {
            Http.DefaultRequestHeaders.Add("dapr-api-token", token);
        }
    }

    /// <summary>The next delivery.</summary>
    public async Task<Received> NextAsync()
    {
        using var deadline = new CancellationTokenSource(Eventually.Deadline);
        return await _received.Reader.ReadAsync(deadline.Token);
    }

    /// <summary>Waits until it has left one more call without an answer.</summary>
    public async Task NextHungAsync() => Assert.True(await _hung.WaitAsync(Eventually.Deadline));

    /// <summary>Waits until one more caller has hung up on it.</summary>
    public async Task NextHungUpAsync() => Assert.True(await _hungUp.WaitAsync(Eventually.Deadline));

    /// <summary>The next delivery, if there is one within the time.</summary>
    public async Task<Received?> TryNextAsync(TimeSpan within)
    {
        using var deadline = new CancellationTokenSource(within);
        try
        {
            return await _received.Reader.ReadAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    /// <summary>Whether nothing has been delivered that was not taken.</summary>
    public bool HasNoMore => _received.Reader.Count == 0;

    public Task<HttpResponseMessage> PublishAsync(string pubSub, string topic, object data, string query = "") =>
        Http.PostAsJsonAsync($"/v1.0/publish/{pubSub}/{topic}{query}", data);

    public Task<HttpResponseMessage> SaveAsync(string store, params object[] items) => Http.PostAsJsonAsync($"/v1.0/state/{store}", items);

    public async ValueTask DisposeAsync()
    {
        Dapr?.Dispose();
        Http?.Dispose();
        await _app.DisposeAsync();
        _hung.Dispose();
        _hungUp.Dispose();
    }
}
