using System.Threading.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace SpegelDapr.Unit.Blob;

/// <summary>
/// Stands where the Dapr sidecar stands and takes the replicas of a resolver in turn, also one that hangs, as Dapr's client does. What a replica does
/// with a call is the test's.
/// </summary>
internal sealed class TakenInTurn : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly Channel<int> _calls = Channel.CreateUnbounded<int>();
    private readonly Channel<int> _hungUp = Channel.CreateUnbounded<int>();
    private int _count;

    private TakenInTurn(WebApplication app) => _app = app;

    public Uri Uri => new(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());

    /// <summary>The replicas.</summary>
    public Func<HttpContext, Task>[] Replicas { get; set; } = [];

    /// <summary>How many calls there have been.</summary>
    public int Count => Volatile.Read(ref _count);

    public static async Task<TakenInTurn> StartAsync(params Func<HttpContext, Task>[] replicas)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        var sidecar = new TakenInTurn(app) { Replicas = replicas };
        app.Run(sidecar.AnswerAsync);
        await app.StartAsync();
        return sidecar;
    }

    /// <summary>A replica that does not answer.</summary>
    public static Task HangAsync(HttpContext context) => Task.Delay(Timeout.InfiniteTimeSpan, context.RequestAborted);

    /// <summary>A replica that answers so.</summary>
    public static Func<HttpContext, Task> Answering(byte[] body, int status = StatusCodes.Status200OK, string type = "application/json") => async context =>
    {
        context.Response.StatusCode = status;
        context.Response.Headers.ContentType = type;
        await context.Response.Body.WriteAsync(body, context.RequestAborted);
    };

    /// <summary>Waits for one more call.</summary>
    public Task CalledAsync() => NextAsync(_calls);

    /// <summary>Waits until one more call has been hung up.</summary>
    public Task HungUpAsync() => NextAsync(_hungUp);

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private static async Task NextAsync(Channel<int> channel)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        await channel.Reader.ReadAsync(deadline.Token);
    }

    private async Task AnswerAsync(HttpContext context)
    {
        var call = Interlocked.Increment(ref _count) - 1;
        _calls.Writer.TryWrite(call);
        try
        {
            await Replicas[call % Replicas.Length](context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            _hungUp.Writer.TryWrite(call);
        }
    }
}
