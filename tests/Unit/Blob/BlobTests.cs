namespace SpegelDapr.Unit.Blob;

/// <summary>
/// Tests of blob services beside a <see cref="FakeResolver"/>; what they start ends with the test, the latest first. They run one after the other: services of
/// one process count into each other's metrics, which OpenTelemetry tells apart by name alone.
/// </summary>
[Collection("Blob")]
public abstract class BlobTests : IAsyncLifetime
{
    private readonly List<IAsyncDisposable> _started = [];

    private protected FakeResolver Resolver { get; private set; } = null!;

    public async Task InitializeAsync() => Resolver = Add(await FakeResolver.StartAsync());

    public async Task DisposeAsync()
    {
        foreach (var started in Enumerable.Reverse(_started))
        {
            await started.DisposeAsync();
        }
    }

    private protected T Add<T>(T started)
        where T : IAsyncDisposable
    {
        _started.Add(started);
        return started;
    }
}
