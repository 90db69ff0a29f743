using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A registry in front of the registry, on its machine, that can fail some machines: also those whose answers are under way.</summary>
internal sealed class UpstreamProxy : IAsyncDisposable
{
    private const int BufferSize = 64 * 1024;

    private readonly ConcurrentDictionary<IPAddress, Fault> _faults = new();
    private readonly HttpClient _http;
    private readonly WebApplication _app;
    private readonly Uri _registry;

    private UpstreamProxy(Registry registry, Uri address, Socket listener)
    {
        (Address, _registry, _http) = (address, registry.Address, registry.Machine.CreateClient());
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseSockets(options => options.CreateBoundListenSocket = _ => listener).UseUrls(address.ToString());
        _app = builder.Build();
        _app.Run(ForwardAsync);
    }

    /// <summary>What the nodes' hosts.toml has to say.</summary>
    public Uri Address { get; }

    public static async Task<UpstreamProxy> StartAsync(Registry registry)
    {
        var port = registry.Machine.NextPort();
        var listener = await registry.Machine.BindAsync(port);

        // What it has sent is nearly what has arrived: the kernel would keep megabytes, which no fault stops.
        listener.SendBufferSize = BufferSize;
        var proxy = new UpstreamProxy(registry, new Uri($"http://{registry.Machine.Address}:{port}/"), listener);
        await proxy._app.StartAsync();
        return proxy;
    }

    /// <summary>Breaks answers to a machine off, and answers its further requests so until <see cref="Heal"/>.</summary>
    /// <param name="machine">The machine.</param>
    /// <param name="answer">The answer; null for none, on connections that stay: so do those of answers under way.</param>
    public void Strike(Machine machine, HttpStatusCode? answer) => _faults[machine.Ip] = new Fault(answer);

    /// <summary>Answers everybody again. Connections that hang are closed.</summary>
    public void Heal()
    {
        foreach (var machine in _faults.Keys)
        {
            if (_faults.TryRemove(machine, out var fault))
            {
                fault.Healed.SetResult();
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        Heal();
        await _app.DisposeAsync();
        _http.Dispose();
    }

    private Fault? FaultFor(HttpContext context) => _faults.GetValueOrDefault(context.Connection.RemoteIpAddress!.MapToIPv4());

    private async Task ForwardAsync(HttpContext context)
    {
        if (FaultFor(context) is { } fault)
        {
            await fault.StrikeAsync(context);
            return;
        }

        var aborted = context.RequestAborted;
        using var request = new HttpRequestMessage(HttpMethod.Parse(context.Request.Method), new Uri(_registry, context.Request.Path + context.Request.QueryString));
        foreach (var header in new[] { "Accept", "Range" })
        {
            request.Headers.TryAddWithoutValidation(header, context.Request.Headers[header].ToArray());
        }

        using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, aborted);
        context.Response.StatusCode = (int)response.StatusCode;
        foreach (var (name, values) in response.Headers.Concat(response.Content.Headers))
        {
            context.Response.Headers[name] = values.ToArray();
        }

        await using var body = await response.Content.ReadAsStreamAsync(aborted);
        var buffer = new byte[BufferSize];
        while (await body.ReadAsync(buffer, aborted) is var read and > 0)
        {
            await context.Response.Body.WriteAsync(buffer.AsMemory(0, read), aborted);
            if (FaultFor(context) is { } struck)
            {
                await struck.StrikeAsync(context);
                return;
            }
        }
    }

    private sealed record Fault(HttpStatusCode? Answer)
    {
        public TaskCompletionSource Healed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public async Task StrikeAsync(HttpContext context)
        {
            if (Answer is not { } status)
            {
                await Healed.Task.WaitAsync(context.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                context.Abort();
            }
            else if (!context.Response.HasStarted)
            {
                context.Response.StatusCode = (int)status;
            }

            // Else the answer ends early, without a reset, after which containerd would not ask for the rest.
        }
    }
}
