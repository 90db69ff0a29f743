namespace SpegelDapr.EndToEnd.Harness;

/// <summary>One of our programs as a process of its own, which can be stopped, killed and started again with the same settings.</summary>
internal sealed class ServiceProcess(string name, string logs, string assembly, IReadOnlyList<string> arguments, IReadOnlyDictionary<string, string> settings) : IAsyncDisposable
{
    private ExternalProcess? _process;

    public int Id => _process!.Id;

    /// <summary>All it has printed, over all its starts.</summary>
    public string Output => _process!.Output;

    public void Start()
    {
        _process = ExternalProcess.Start(name, logs, "dotnet", [Path.Combine(AppContext.BaseDirectory, assembly + ".dll"), .. arguments], settings);
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
