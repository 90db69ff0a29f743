using SpegelDapr.LocalDapr;

namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A sidecar that is started again, on the same ports, when it has been asked to shut down: what Kubernetes does.</summary>
internal sealed class SupervisedSidecar : IAsyncDisposable
{
    private static readonly TimeSpan RestartBudget = TimeSpan.FromSeconds(30);

    private readonly LocalDaprHost _dapr;
    private readonly AppSpec _app;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _supervising;
    private volatile Sidecar _current;
    private int _restarts;

    private SupervisedSidecar(LocalDaprHost dapr, AppSpec app, Sidecar first)
    {
        (_dapr, _current) = (dapr, first);
        _app = app with { HttpPort = first.HttpPort, GrpcPort = first.GrpcPort };
        _supervising = SuperviseAsync();
    }

    public string AppId => _app.AppId;

    public int HttpPort => _app.HttpPort;

    public int GrpcPort => _app.GrpcPort;

    /// <summary>How often it has been started again.</summary>
    public int Restarts => _restarts;

    /// <summary>Ends when the app has told the sidecar that runs now its subscriptions.</summary>
    public Task Subscribed => _current.Subscribed;

    public static async Task<SupervisedSidecar> StartAsync(LocalDaprHost dapr, AppSpec app) => new(dapr, app, await dapr.StartAsync(app));

    /// <summary>Has it lose its brokers for good, until it is started again.</summary>
    public Task LoseBrokersAsync() => _current.LoseBrokersAsync();

    /// <summary>Has it exit over its API, and returns when the next one has the app's subscriptions.</summary>
    public async Task RestartAsync()
    {
        var restarts = Restarts;
        using var http = new HttpClient();
        using var response = await http.PostAsync(new Uri($"http://127.0.0.1:{HttpPort}/v1.0/shutdown"), content: null);
        response.EnsureSuccessStatusCode();
        await Eventually.HoldsAsync($"the sidecar of {AppId} has been started again", () => Restarts > restarts, RestartBudget);
        await Subscribed.WaitAsync(RestartBudget);
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _supervising.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _current.DisposeAsync();
        _stopping.Dispose();
    }

    private async Task SuperviseAsync()
    {
        while (true)
        {
            await _current.ShutdownRequested.WaitAsync(_stopping.Token);
            await _current.DisposeAsync();
            _current = await _dapr.StartAsync(_app, _stopping.Token);
            Interlocked.Increment(ref _restarts);
        }
    }
}
