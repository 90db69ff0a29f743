using Microsoft.Extensions.Logging;
using SpegelDapr.LocalDapr.Tests.Support;

namespace SpegelDapr.LocalDapr.Tests.Local;

/// <summary>What LocalDapr says to component files that it cannot use.</summary>
public sealed class ComponentTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("localdapr-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task An_unknown_type_is_one_line_that_lists_the_known_ones()
    {
        var error = await FailAsync(new Component("store", "state.postgresql"));

        Assert.Equal(
            "Component store: LocalDapr does not know the type 'state.postgresql'; it knows pubsub.in-memory, pubsub.rabbitmq, pubsub.redis, state.in-memory, state.redis.", error);
    }

    [Fact]
    public async Task A_component_that_ignores_errors_is_left_out()
    {
        await using var host = new LocalDaprHost();
        await using var sidecar = await host.StartAsync(new AppSpec("app") { Components = [new Component("store", "state.postgresql") { IgnoreErrors = true }] });

        Assert.True(sidecar.HttpPort > 0);
    }

    [Fact]
    public async Task A_redis_that_does_not_answer_is_named() => Assert.Contains(
        "127.0.0.1:1",
        await FailAsync(new Component("store", "state.redis") { Metadata = new Dictionary<string, string> { ["redisHost"] = "127.0.0.1:1" } }),
        StringComparison.Ordinal);

    [Theory]
    [InlineData("hostname", "127.0.0.1:1", "127.0.0.1:1")]
    [InlineData("connectionString", "http://localhost", "amqp://host:port")]
    [InlineData("exchangeKind", "round", "'round'")]
    [InlineData("deliveryMode", "3", "'3'")]
    [InlineData("prefetchCount", "256", "'256'")]
    [InlineData("concurrency", "some", "'some'")]
    public async Task A_rabbitmq_that_cannot_be_is_named(string name, string value, string problem) => Assert.Contains(
        problem,
        await FailAsync(new Component("events", "pubsub.rabbitmq") { Metadata = new Dictionary<string, string> { [name] = value } }),
        StringComparison.Ordinal);

    [Theory]
    [InlineData("kind: [", "not well-formed YAML")]
    [InlineData("kind: Component\nmetadata: { name: a }", "'spec.type' is missing")]
    [InlineData("kind: Component\nmetadata: { name: a }\nspec:\n  type: state.redis\n  metadata:\n  - { name: redisPassword, secretKeyRef: { name: x } }", "secret")]
    public async Task A_file_that_is_wrong_is_named_with_what_is_wrong(string yaml, string problem)
    {
        var file = Path.Combine(_directory, "wrong.yaml");
        await File.WriteAllTextAsync(file, yaml);
        await using var host = new LocalDaprHost();

        var error = await Assert.ThrowsAsync<LocalDaprException>(() => host.StartAsync(new AppSpec("app") { ResourcesPaths = [_directory] }));

        Assert.StartsWith(file, error.Message, StringComparison.Ordinal);
        Assert.Contains(problem, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("in-memory")]
    [InlineData("rabbitmq")]
    [InlineData("redis")]
    public void The_component_sets_of_the_project_that_LocalDapr_knows_can_be_read(string set)
    {
        var resources = new Resources.ResourceFiles(Microsoft.Extensions.Logging.Abstractions.NullLogger<Resources.ResourceFiles>.Instance)
            .Read([Checkout.Path($"components/{set}"), Checkout.Path("components/common")], "app");

        Assert.Equal(["holder-store", "layer-events"], resources.Components.Select(component => component.Name));
        Assert.Equal(["layer-events"], resources.InboundRetries.Keys.Order());
    }

    [Fact]
    public void What_is_not_applied_of_a_resiliency_is_said_in_one_line_and_once()
    {
        File.WriteAllText(Path.Combine(_directory, "resiliency.yaml"), """
            kind: Resiliency
            metadata: { name: much }
            spec:
              policies:
                timeouts: { DefaultAppTimeoutPolicy: 500ms, short: 1s }
                retries: { again: { policy: constant } }
                circuitBreakers: { gone: { maxRequests: 1 } }
              targets:
                components: { events: { outbound: { timeout: short, circuitBreaker: gone }, inbound: { retry: again } } }
            """);
        var logger = new Lines();
        var files = new Resources.ResourceFiles(logger);

        files.Read([_directory], "app");
        files.Read([_directory], "app");

        Assert.EndsWith(
            "resiliency.yaml: of a Resiliency only the inbound retries of components are applied: events outbound timeout, events outbound circuitBreaker, "
            + "DefaultAppTimeoutPolicy are not supported by LocalDapr; skipped.",
            Assert.Single(logger),
            StringComparison.Ordinal);
    }

    private sealed class Lines : List<string>, ILogger<Resources.ResourceFiles>
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Add(formatter(state, exception));
    }

    private static async Task<string> FailAsync(Component component)
    {
        await using var host = new LocalDaprHost();
        return (await Assert.ThrowsAsync<LocalDaprException>(() => host.StartAsync(new AppSpec("app") { Components = [component] }))).Message;
    }
}
