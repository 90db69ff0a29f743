using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Discovery;
using SpegelDapr.ServiceDefaults.Kubernetes;
using SpegelDapr.Unit.Blob;
using SpegelDapr.Unit.Resolver;

namespace SpegelDapr.Unit.Kubernetes;

public sealed class NodeLocationTests : IAsyncLifetime, IDisposable
{
    private readonly FakeApiServer _server = new();
    private readonly FakeTimeProvider _time = new();
    private readonly CollectingLogger _log = new();
    private readonly CancellationTokenSource _cancellation = new();
    private readonly Dictionary<string, string?> _settings;

    public NodeLocationTests() => _settings = new() { ["Kubernetes:Kubeconfig"] = _server.Kubeconfig, ["Node:Name"] = "node-a" };

    public Task InitializeAsync() => _server.ListenAsync();

    public async Task DisposeAsync()
    {
        await _cancellation.CancelAsync();
        await _server.DisposeAsync();
    }

    public void Dispose() => _cancellation.Dispose();

    [Fact]
    public async Task A_node_is_where_its_labels_say()
    {
        _server.Put("node-a", "eu-west", "eu-west.1A");

        Assert.Equal("eu-west/eu-west-1a", await LearnAsync());
        Assert.Empty(_log.Warnings);
    }

    [Fact]
    public async Task The_keys_of_the_labels_can_be_set()
    {
        _server.Put("node-a", new Dictionary<string, string> { ["region"] = "eu", ["example.com/hall"] = "h1", ["topology.kubernetes.io/zone"] = "other" });
        _settings["Kubernetes:RegionLabel"] = "region";
        _settings["Kubernetes:ZoneLabel"] = "example.com/hall";

        Assert.Equal("eu/h1", await LearnAsync());
    }

    [Theory]
    [InlineData(null, null, "default/default", "topology.kubernetes.io/region and topology.kubernetes.io/zone")]
    [InlineData("eu", null, "eu/default", "label topology.kubernetes.io/zone")]
    [InlineData(null, "a", "default/a", "label topology.kubernetes.io/region,")]
    public async Task Of_labels_that_are_missing_it_warns_once(string? region, string? zone, string location, string labels)
    {
        _server.Put("node-a", region, zone);

        Assert.Equal(location, await LearnAsync());

        var warning = Assert.Single(_log.Warnings);
        Assert.Contains("node-a", warning, StringComparison.Ordinal);
        Assert.Contains(labels, warning, StringComparison.Ordinal);
        Assert.Contains("Kubernetes:ZoneLabel", warning, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Settings_win_over_labels_and_spare_the_question()
    {
        _server.Put("node-a", "eu", "a");
        _settings["Node:Zone"] = "mine";
        Assert.Equal("eu/mine", await LearnAsync());
        _settings["Node:Region"] = "my-region";
        Assert.Equal("my-region/mine", await LearnAsync());

        Assert.Single(_server.Requests);
    }

    [Fact]
    public async Task Nothing_is_asked_when_it_is_not_enabled()
    {
        _settings["Kubernetes:Enabled"] = "false";

        Assert.Equal("/", await LearnAsync());
        Assert.Empty(_server.Requests);
    }

    [Fact]
    public async Task It_waits_for_an_API_server_that_is_away_and_says_so_now_and_then()
    {
        _server.Put("node-a", "eu", "a");
        await _server.StopAsync();
        var learning = LearnAsync();
        for (var i = 0; i < 3; i++)
        {
            await WarnedAsync(i + 1);
            Assert.False(learning.IsCompleted);
            _time.Advance(TimeSpan.FromSeconds(30));
        }

        await _server.ListenAsync();

        Assert.Equal("eu/a", await _time.RunAsync(learning));
        Assert.All(_log.Warnings, line => Assert.StartsWith("Reading the labels of node node-a, which the start waits for, fails", line, StringComparison.Ordinal));
    }

    [Fact]
    public async Task It_waits_for_an_API_server_that_is_slow()
    {
        _server.Put("node-a", "eu", "a");
        _server.IsSilent = true;
        var learning = LearnAsync();
        await _time.UntilAsync(() => !_server.Requests.IsEmpty);
        _time.Advance(TimeSpan.FromSeconds(10));
        Assert.Contains("does not answer in time", await WarnedAsync(1), StringComparison.Ordinal);

        _server.IsSilent = false;

        Assert.Equal("eu/a", await _time.RunAsync(learning));
    }

    [Theory]
    [InlineData(HttpStatusCode.Forbidden, "allow the service account to get nodes")]
    [InlineData(HttpStatusCode.Unauthorized, "that the API server accepts")]
    [InlineData(HttpStatusCode.ServiceUnavailable, "503")]
    public async Task A_refusal_is_one_line_with_the_remedy_and_is_waited_out(HttpStatusCode refusal, string remedy)
    {
        _server.Put("node-a", "eu", "a");
        _server.Refusal = refusal;
        var learning = LearnAsync();
        var warning = await WarnedAsync(1);
        Assert.Contains(remedy, warning, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', warning);

        _server.Refusal = null;

        Assert.Equal("eu/a", await _time.RunAsync(learning));
        Assert.Single(_log.Warnings);
    }

    [Fact]
    public async Task A_node_that_is_not_there_yet_is_waited_for()
    {
        var learning = LearnAsync();
        Assert.Contains("set Node:Name", await WarnedAsync(1), StringComparison.Ordinal);

        _server.Put("node-a", "eu", "a");

        Assert.Equal("eu/a", await _time.RunAsync(learning));
    }

    [Fact]
    public async Task The_wait_ends_with_the_service()
    {
        await _server.StopAsync();
        var learning = LearnAsync();
        await WarnedAsync(1);

        await _cancellation.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => learning);
    }

    [Theory]
    [InlineData("Kubernetes:Kubeconfig", "/no/such/file")]
    [InlineData("Kubernetes:RegionLabel", "not a label")]
    [InlineData("Kubernetes:ZoneLabel", "")]
    [InlineData("Node:Name", "Not a node")]
    public async Task A_wrong_setting_is_named(string setting, string value)
    {
        _settings[setting] = value;

        var error = await Assert.ThrowsAsync<OptionsValidationException>(LearnAsync);

        Assert.StartsWith($"{setting} is '{value}'", Assert.Single(error.Failures), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_that_is_no_kubeconfig_is_named_with_the_remedy()
    {
        await File.WriteAllTextAsync(_server.Kubeconfig, "clusters: [");

        var error = await Assert.ThrowsAsync<OptionsValidationException>(LearnAsync);

        Assert.Contains("give Kubernetes:Kubeconfig", Assert.Single(error.Failures), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_service_is_built_with_what_has_been_learned()
    {
        _server.Put("node-a", "eu", "a");
        string[] args = [.. _settings.Select(setting => $"--{setting.Key}={setting.Value}"), "--Logging:LogLevel:Default=None"];

        var learned = await NodeLocation.LearnAsync(args, _cancellation.Token);

        await using var app = DiscoveryService.Create(args, builder =>
        {
            builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
            {
                ["Node:Address"] = "http://10.0.0.1:5000",
                ["DAPR_GRPC_ENDPOINT"] = Loopback.FreeUri().ToString(),
                ["DAPR_HTTP_ENDPOINT"] = Loopback.FreeUri().ToString(),
            });
            learned(builder);
        });
        Assert.Equal(("eu", "a"), (app.Configuration["Node:Region"], app.Configuration["Node:Zone"]));
    }

    private async Task<string> LearnAsync()
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection(_settings).Build();
        var learned = await NodeLocation.LearnAsync(configuration, _time, _log, _cancellation.Token);
        configuration = new ConfigurationBuilder().AddConfiguration(configuration).AddInMemoryCollection(learned).Build();
        return $"{configuration["Node:Region"]}/{configuration["Node:Zone"]}";
    }

    /// <summary>Lets time pass until there are so many warnings; the last of them.</summary>
    private async Task<string> WarnedAsync(int count)
    {
        await _time.UntilAsync(() => _log.Warnings.Count >= count);
        return _log.Warnings[count - 1];
    }
}
