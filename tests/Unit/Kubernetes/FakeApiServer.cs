using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using SpegelDapr.Unit.Blob;

namespace SpegelDapr.Unit.Kubernetes;

/// <summary>
/// The nodes of a Kubernetes API server over HTTP, and what goes wrong with one. It is a fake because a real API server cannot be had where these
/// tests run: it needs etcd and its own program, which no package here holds. What it answers is what "Kubernetes API Concepts" says.
/// </summary>
internal sealed class FakeApiServer : IAsyncDisposable
{
    private const string Token = "a-token";

    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, string> _nodes = new(StringComparer.Ordinal);
    private readonly List<(long Version, string Json)> _events = [];
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("spegel-dapr-test-");
    private readonly Uri _url = Loopback.FreeUri();
    private TaskCompletionSource _changed = NewSignal();
    private WebApplication? _app;
    private long _version = 100;
    private long _oldest;
    private int _interruptions;
    private Interruption _interruption;

    public FakeApiServer()
    {
        Kubeconfig = Path.Combine(_directory.FullName, "kubeconfig");
        File.WriteAllText(Kubeconfig, $$$"""
            apiVersion: v1
            kind: Config
            current-context: fake
            clusters: [{name: fake, cluster: {server: "{{{_url}}}"}}]
            users: [{name: test, user: {token: "{{{Token}}}"}}]
            contexts: [{name: fake, context: {cluster: fake, user: test}}]
            """);
    }

    private enum Interruption
    {
        End,
        DropInTheMiddle,
        Gone,
    }

    /// <summary>A kubeconfig file for it.</summary>
    public string Kubeconfig { get; }

    /// <summary>Whether versions that are too old are refused by an event of the watch, and not by the status of its answer.</summary>
    public bool IsGoneAnEvent { get; set; }

    /// <summary>While set, every request is answered with this status.</summary>
    public HttpStatusCode? Refusal { get; set; }

    /// <summary>While true, requests are not answered.</summary>
    public bool IsSilent { get; set; }

    /// <summary>The version of the last change.</summary>
    public long Version
    {
        get
        {
            lock (_lock)
            {
                return _version;
            }
        }
    }

    /// <summary>The paths and queries of all requests, in their order.</summary>
    public ConcurrentQueue<string> Requests { get; } = new();

    /// <summary>The Events that have been created, as they were sent.</summary>
    public ConcurrentQueue<JsonElement> Events { get; } = new();

    public IEnumerable<string> Lists => Requests.Where(request => request.Contains("?limit=", StringComparison.Ordinal));

    public IEnumerable<string> Watches => Requests.Where(request => request.Contains("watch=1", StringComparison.Ordinal));

    public static async Task<FakeApiServer> StartAsync()
    {
        var server = new FakeApiServer();
        await server.ListenAsync();
        return server;
    }

    /// <summary>Begins to listen, at the same address each time.</summary>
    public async Task ListenAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Configuration["urls"] = _url.ToString();
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromMilliseconds(50));
        _app = builder.Build();
        _app.Run(AnswerAsync);
        await _app.StartAsync();
    }

    /// <summary>Stops listening, and breaks off all connections.</summary>
    public async Task StopAsync()
    {
        if (_app is { } app)
        {
            _app = null;
            await app.StopAsync();
            await app.DisposeAsync();
        }
    }

    /// <summary>Adds a node or changes it.</summary>
    public void Put(string name, string? region = null, string? zone = null, string ready = "True")
    {
        var labels = new Dictionary<string, string> { ["kubernetes.io/os"] = "linux" };
        if (region is not null)
        {
            labels["topology.kubernetes.io/region"] = region;
        }

        if (zone is not null)
        {
            labels["topology.kubernetes.io/zone"] = zone;
        }

        Put(name, labels, ready);
    }

    public void Put(string name, IReadOnlyDictionary<string, string> labels, string ready = "True") =>
        Change(name, isDeleted: false, version => JsonSerializer.Serialize(new
        {
            kind = "Node",
            apiVersion = "v1",
            metadata = new { name, resourceVersion = $"{version}", labels, managedFields = new[] { new { manager = "kubelet" } } },
            status = new
            {
                conditions = new[] { new { type = "MemoryPressure", status = "False" }, new { type = "Ready", status = ready } },
                images = new[] { new { names = new[] { $"docker.io/library/image:{new string('x', 500)}" }, sizeBytes = 1 } },
            },
        }));

    public void Delete(string name)
    {
        lock (_lock)
        {
            var last = _nodes[name];
            Change(name, isDeleted: true, version => last.Replace("\"resourceVersion\":\"", $"\"resourceVersion\":\"{version}\",\"was\":\"", StringComparison.Ordinal));
        }
    }

    /// <summary>Time passes: other objects change, of which watches are told by a bookmark.</summary>
    public void Bookmark()
    {
        lock (_lock)
        {
            _version += 10;
            _events.Add((_version, Event("BOOKMARK", $$$"""{"kind":"Node","apiVersion":"v1","metadata":{"resourceVersion":"{{{_version}}}"}}""")));
            Wake();
        }
    }

    /// <summary>Forgets what has changed until now: older versions cannot be watched from any more.</summary>
    public void Compact()
    {
        lock (_lock)
        {
            _events.Clear();
            _oldest = ++_version;
        }
    }

    /// <summary>Ends all watches in order.</summary>
    public void EndWatches() => Interrupt(Interruption.End);

    /// <summary>Breaks off the connections of all watches in the middle of an event.</summary>
    public void DropWatches() => Interrupt(Interruption.DropInTheMiddle);

    /// <summary>Ends all watches because they have fallen behind.</summary>
    public void ExpireWatches() => Interrupt(Interruption.Gone);

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _directory.Delete(recursive: true);
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static string Status(int code, string reason, string message) =>
        JsonSerializer.Serialize(new { kind = "Status", apiVersion = "v1", status = "Failure", message, reason, code });

    private static string Event(string type, string json) => $$$"""{"type":"{{{type}}}","object":{{{json}}}}""";

    private static string Gone() => Event("ERROR", Status(410, "Expired", "too old resource version: 1 (2)"));

    private void Interrupt(Interruption interruption)
    {
        lock (_lock)
        {
            _interruption = interruption;
            _interruptions++;
            Wake();
        }
    }

    private void Change(string name, bool isDeleted, Func<long, string> node)
    {
        lock (_lock)
        {
            var json = node(++_version);
            var type = isDeleted ? "DELETED" : _nodes.ContainsKey(name) ? "MODIFIED" : "ADDED";
            if (isDeleted)
            {
                _nodes.Remove(name);
            }
            else
            {
                _nodes[name] = json;
            }

            _events.Add((_version, Event(type, json)));
            Wake();
        }
    }

    private void Wake()
    {
        _changed.TrySetResult();
        _changed = NewSignal();
    }

    private async Task AnswerAsync(HttpContext context)
    {
        // Before the request is seen to have come: what interrupts watches then is meant for this one too.
        var interruptions = Volatile.Read(ref _interruptions);
        Requests.Enqueue(context.Request.Path + context.Request.QueryString);
        if (IsSilent)
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, context.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        else if (Refusal is { } refusal)
        {
            await AnswerAsync(context, (int)refusal, Status((int)refusal, $"{refusal}", "nodes are not for User \"test\"\nat the cluster scope"));
        }
        else if (context.Request.Headers.Authorization != $"Bearer {Token}")
        {
            await AnswerAsync(context, 401, Status(401, "Unauthorized", "Unauthorized"));
        }
        else if (context.Request.Method == "POST" && context.Request.Path == "/api/v1/namespaces/default/events")
        {
            using var created = await JsonDocument.ParseAsync(context.Request.Body, cancellationToken: context.RequestAborted);
            Events.Enqueue(created.RootElement.Clone());
            await AnswerAsync(context, 201, created.RootElement.GetRawText());
        }
        else if (context.Request.Path != "/api/v1/nodes")
        {
            await GetAsync(context, context.Request.Path.Value!.Split('/')[^1]);
        }
        else if (context.Request.Query["watch"] == "1")
        {
            await WatchAsync(context, long.Parse(context.Request.Query["resourceVersion"]!, CultureInfo.InvariantCulture), interruptions);
        }
        else
        {
            await ListAsync(context);
        }
    }

    private static Task AnswerAsync(HttpContext context, int status, string json)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(json);
    }

    private Task GetAsync(HttpContext context, string name)
    {
        string? node;
        lock (_lock)
        {
            node = _nodes.GetValueOrDefault(name);
        }

        return node is null ? AnswerAsync(context, 404, Status(404, "NotFound", $"nodes \"{name}\" not found")) : AnswerAsync(context, 200, node);
    }

    private Task ListAsync(HttpContext context)
    {
        var limit = int.Parse(context.Request.Query["limit"]!, CultureInfo.InvariantCulture);
        var first = int.TryParse(context.Request.Query["continue"], out var next) ? next : 0;
        lock (_lock)
        {
            var more = first + limit < _nodes.Count ? $"{first + limit}" : "";
            var items = string.Join(',', _nodes.Values.Skip(first).Take(limit));
            return AnswerAsync(
                context,
                200,
                $$"""{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"{{_version}}","continue":"{{more}}"},"items":[{{items}}]}""");
        }
    }

    private async Task WatchAsync(HttpContext context, long from, int interruptions)
    {
        if (from < _oldest && !IsGoneAnEvent)
        {
            await AnswerAsync(context, 410, Status(410, "Expired", "too old resource version: 1 (2)"));
            return;
        }

        context.Response.ContentType = "application/json";
        await context.Response.Body.FlushAsync();
        if (from < _oldest)
        {
            await context.Response.WriteAsync(Gone() + "\n");
            return;
        }

        while (!context.RequestAborted.IsCancellationRequested)
        {
            Task changed;
            (long Version, string Json)[] events;
            Interruption? interruption;
            lock (_lock)
            {
                changed = _changed.Task;
                events = [.. _events.Where(one => one.Version > from)];
                interruption = _interruptions > interruptions ? _interruption : null;
            }

            foreach (var (version, json) in events)
            {
                await context.Response.WriteAsync(json + "\n");
                await context.Response.Body.FlushAsync();
                from = version;
            }

            switch (interruption)
            {
                case Interruption.End:
                    return;
                case Interruption.Gone:
                    await context.Response.WriteAsync(Gone() + "\n");
                    return;
                case Interruption.DropInTheMiddle:
                    await context.Response.WriteAsync("""{"type":"MODIFIED","object":{"kind":"No""");
                    await context.Response.Body.FlushAsync();
                    context.Abort();
                    return;
                default:
                    await changed.WaitAsync(context.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                    break;
            }
        }
    }
}
