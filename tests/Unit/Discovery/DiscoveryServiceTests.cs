using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery;
using SpegelDapr.LocalDapr;
using SpegelDapr.Unit.Blob;

namespace SpegelDapr.Unit.Discovery;

public sealed class DiscoveryServiceTests : IDisposable
{
    private readonly DirectoryInfo _layout = Directory.CreateTempSubdirectory("spegel-dapr-test-");
    private readonly Dictionary<string, string?> _settings;

    public DiscoveryServiceTests() => _settings = new()
    {
        ["Telemetry:Url"] = $"http://127.0.0.1:{FreePort()}",
        ["DAPR_GRPC_PORT"] = $"{FreePort()}",
        ["DAPR_HTTP_PORT"] = $"{FreePort()}",
        ["Node:Name"] = "node-a",
        ["Node:Region"] = "eu",
        ["Node:Zone"] = "eu-1",
        ["Node:Address"] = "http://10.0.0.1:5000",
        ["Discovery:Source"] = "oci-layout",
        ["OciLayout:Path"] = _layout.FullName,
    };

    [Fact]
    public async Task Nothing_but_telemetry_is_listened_for()
    {
        await using var app = await StartAsync();

        Assert.Equal([_settings["Telemetry:Url"]!], app.Urls);
        using var client = Client("Telemetry:Url");
        Assert.Equal(HttpStatusCode.NotFound, (await client.GetAsync(new Uri("/dapr/subscribe", UriKind.Relative))).StatusCode);
    }

    [Fact]
    public async Task A_sidecar_without_an_app_port_lets_nobody_invoke_it()
    {
        await using var dapr = await StartSidecarAsync();
        var stranger = await dapr.StartAsync(new AppSpec("stranger"));
        await using var app = await StartAsync();
        using var client = new HttpClient { BaseAddress = new Uri(stranger.HttpEndpoint) };

        using var answer = await client.GetAsync(new Uri($"/v1.0/invoke/{DaprNames.Discovery("eu-1")}/method/healthz", UriKind.Relative));

        Assert.Equal(HttpStatusCode.InternalServerError, answer.StatusCode);
    }

    [Fact]
    public async Task Shows_its_figures_and_that_it_lives_without_a_sidecar()
    {
        File.WriteAllBytes(Path.Combine(_layout.CreateSubdirectory("blobs/sha256").FullName, Digest.OfSha256([1]).Hex), [1]);
        await using var app = await StartAsync();
        using var client = Client("Telemetry:Url");

        await UntilAsync(async () => (await client.GetStringAsync(new Uri("/metrics", UriKind.Relative))).Split('\n')
            .Any(line => line.StartsWith("spegel_dapr_discovery_keys", StringComparison.Ordinal) && line.Contains("kind=\"digest\"", StringComparison.Ordinal) && line.Contains("} 1", StringComparison.Ordinal)));
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync(new Uri("/healthz", UriKind.Relative))).StatusCode);
    }

    [Fact]
    public async Task Is_ready_once_a_sidecar_has_taken_an_event_and_stays_so_when_the_sidecar_dies()
    {
        _settings["Discovery:HeartbeatInterval"] = "00:00:00.2";
        await using var app = await StartAsync();
        using var client = Client("Telemetry:Url");
        await UntilAsync(async () => (await ReadyAsync(client)).Body.Contains("publishing: no Dapr sidecar answers", StringComparison.Ordinal));
        var (status, body) = await ReadyAsync(client);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.Matches($@"\AUnhealthy\npublishing: no Dapr sidecar answers at \S+:{_settings["DAPR_GRPC_PORT"]}: start it, or give its port as DAPR_GRPC_PORT\n\z", body);

        await using (await StartSidecarAsync())
        {
            await UntilAsync(async () => (await ReadyAsync(client)).Status == HttpStatusCode.OK);
        }

        var failures = await FailuresAsync(client);
        await UntilAsync(async () => await FailuresAsync(client) != failures);
        Assert.Equal((HttpStatusCode.OK, "Healthy\n"), await ReadyAsync(client));
    }

    [Fact]
    public async Task What_a_start_waits_for_is_logged_once_when_the_wait_begins_and_once_when_it_ends()
    {
        using var log = new CollectingLoggerProvider();
        await using var app = await StartAsync(log);
        using var client = Client("Telemetry:Url");
        await UntilAsync(() => Task.FromResult(log.Lines.Any(line => line.Contains("no Dapr sidecar answers", StringComparison.Ordinal))));
        for (var probe = 0; probe < 5; probe++)
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await ReadyAsync(client)).Status);
        }

        await using var sidecar = await StartSidecarAsync();
        await UntilAsync(async () => (await ReadyAsync(client)).Status == HttpStatusCode.OK);

        Assert.Single(log.Lines, line => line.Contains("no Dapr sidecar answers", StringComparison.Ordinal));
        Assert.Single(log.Lines, line => line.Contains("Publishing again, after ", StringComparison.Ordinal));
        Assert.DoesNotContain(log.Lines, line => line.Contains("Health check", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_keeps_containerd_from_the_mirror_is_a_figure_and_a_line_and_no_reason_to_be_unready()
    {
        var problems = Path.Combine(_layout.FullName, "problems");
        await File.WriteAllTextAsync(problems, "config_path is not set.\ndiscard_unpacked_layers is true.\n");
        _settings["Discovery:ProblemsPath"] = problems;
        await using var sidecar = await StartSidecarAsync();
        await using var app = await StartAsync();
        using var client = Client("Telemetry:Url");
        await UntilAsync(async () => (await ReadyAsync(client)).Status == HttpStatusCode.OK);

        Assert.Equal((HttpStatusCode.OK, "Degraded\nnode-setup: config_path is not set. discard_unpacked_layers is true.\n"), await ReadyAsync(client));
        await UntilAsync(async () => (await client.GetStringAsync(new Uri("/metrics", UriKind.Relative))).Split('\n')
            .Any(line => line.StartsWith("spegel_dapr_discovery_node_setup_problems", StringComparison.Ordinal) && line.Contains(" 2", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task The_telemetry_listener_takes_short_headers_and_no_body()
    {
        await using var app = await StartAsync();
        var telemetry = new Uri(_settings["Telemetry:Url"]!);
        var padding = string.Concat(Enumerable.Range(0, 5).Select(i => $"x-{i}: {new string('a', 4000)}\r\n"));

        var tooLong = Encoding.Latin1.GetString(await RawHttp.ExchangeAsync(telemetry, $"GET /healthz HTTP/1.1\r\nHost: x\r\n{padding}Connection: close\r\n\r\n"));
        var withBody = Encoding.Latin1.GetString(await RawHttp.ExchangeAsync(
            telemetry, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));

        Assert.StartsWith("HTTP/1.1 431 ", tooLong, StringComparison.Ordinal);
        Assert.Equal(1, withBody.Split("HTTP/1.1 ").Length - 1);
    }

    [Theory]
    [InlineData("Discovery:Source", "docker")]
    [InlineData("Discovery:HeartbeatInterval", "00:00:00")]
    [InlineData("OciLayout:Path", "/no/such/directory")]
    [InlineData("Node:Address", "10.0.0.1")]
    [InlineData("Registries:Filters:0", "(")]
    public async Task A_wrong_setting_is_named(string setting, string value)
    {
        _settings[setting] = value;

        var error = await Assert.ThrowsAsync<OptionsValidationException>(async () => await (await StartAsync()).DisposeAsync());

        Assert.StartsWith($"{setting} is ", Assert.Single(error.Failures), StringComparison.Ordinal);
        Assert.Contains(value, error.Failures.Single(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Containerd:Socket", "containerd.sock")]
    [InlineData("Containerd:Namespace", "k8s/io")]
    [InlineData("Containerd:ContentPath", "")]
    public async Task A_wrong_setting_of_containerd_is_named(string setting, string value)
    {
        _settings["Discovery:Source"] = "containerd";

        await A_wrong_setting_is_named(setting, value);
    }

    public void Dispose() => _layout.Delete(recursive: true);

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        for (var deadline = DateTime.UtcNow.AddSeconds(20); !await condition(); await Task.Delay(20))
        {
            Assert.True(DateTime.UtcNow < deadline, "It has not happened in time.");
        }
    }

    private static async Task<string?> FailuresAsync(HttpClient client) => (await client.GetStringAsync(new Uri("/metrics", UriKind.Relative))).Split('\n')
        .FirstOrDefault(line => line.StartsWith("spegel_dapr_discovery_publish_failures", StringComparison.Ordinal))?.Split('}')[1].Trim().Split(' ')[0];

    private static async Task<(HttpStatusCode Status, string Body)> ReadyAsync(HttpClient client)
    {
        using var response = await client.GetAsync(new Uri("/readyz", UriKind.Relative));
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    private async Task<WebApplication> StartAsync(ILoggerProvider? log = null)
    {
        var app = DiscoveryService.Create([], builder => builder.Configuration.AddInMemoryCollection(_settings));
        if (log is not null)
        {
            app.Services.GetRequiredService<ILoggerFactory>().AddProvider(log);
        }

        await app.StartAsync();
        return app;
    }

    private async Task<LocalDaprHost> StartSidecarAsync()
    {
        var dapr = new LocalDaprHost();
        await dapr.StartAsync(new AppSpec(DaprNames.Discovery("eu-1"))
        {
            GrpcPort = int.Parse(_settings["DAPR_GRPC_PORT"]!, CultureInfo.InvariantCulture),
            ResourcesPaths = [Path.Combine(AppContext.BaseDirectory, "components", "in-memory")],
        });
        return dapr;
    }

    private HttpClient Client(string urlKey) => new() { BaseAddress = new Uri(_settings[urlKey]!) };
}
