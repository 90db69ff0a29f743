using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A mirror that has nothing and remembers what it was asked for.</summary>
internal sealed class CountingMirror : IAsyncDisposable
{
    private readonly ConcurrentQueue<string> _requests = new();
    private readonly WebApplication _app;

    private CountingMirror(Uri address)
    {
        Address = address;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(address.ToString());
        _app = builder.Build();
        _app.Run(context =>
        {
            _requests.Enqueue($"{context.Request.Path}{context.Request.QueryString}");
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return Task.CompletedTask;
        });
    }

    /// <summary>Where it is.</summary>
    public Uri Address { get; }

    /// <summary>The path and query of every request.</summary>
    public IReadOnlyCollection<string> Requests => _requests;

    public static async Task<CountingMirror> StartAsync()
    {
        var mirror = new CountingMirror(new Uri($"http://127.0.0.1:{Machine.Local.NextPort()}"));
        await mirror._app.StartAsync();
        return mirror;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();
}
