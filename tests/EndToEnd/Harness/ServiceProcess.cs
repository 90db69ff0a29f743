namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A program as a process of its own, which can be stopped, killed and started again with the same settings.</summary>
internal sealed class ServiceProcess(
    string name, string logs, string program, IReadOnlyList<string> arguments, IEnumerable<KeyValuePair<string, string>> settings, Machine? on = null)
    : IAsyncDisposable
{
    private ExternalProcess? _process;

    /// <summary>What its environment says at the next start.</summary>
    public Dictionary<string, string> Settings { get; } = new(settings);

    public int Id => _process!.Id;

    /// <summary>All it has printed, over all its starts.</summary>
    public string Output => _process!.Output;

    /// <summary>One of our programs, from the tests' build.</summary>
    public static ServiceProcess Of(
        string name, string logs, string assembly, IReadOnlyList<string> arguments, IEnumerable<KeyValuePair<string, string>> settings, Machine? on = null) =>
        new(name, logs, "dotnet", [Path.Combine(AppContext.BaseDirectory, assembly + ".dll"), .. arguments], settings, on);

    public void Start() => _process = ExternalProcess.Start(name, logs, program, arguments, Settings, on: on);

    /// <summary>Starts it again, with <see cref="Settings"/> as they are now.</summary>
    public async Task RestartAsync()
    {
        await DisposeAsync();
        Start();
    }

    /// <summary>SIGTERM.</summary>
    public Task StopAsync() => _process!.StopAsync();

    /// <summary>SIGKILL.</summary>
    public Task KillAsync() => _process!.KillAsync();

    public void Freeze() => _process!.Freeze();

    public void Thaw() => _process!.Thaw();

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            await _process.DisposeAsync();
        }
    }
}
