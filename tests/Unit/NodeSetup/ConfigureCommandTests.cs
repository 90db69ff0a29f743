using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using SpegelDapr.Cli.NodeSetup;
using SpegelDapr.Cli.NodeSetup.Preflight;
using SpegelDapr.Contracts;
using SpegelDapr.Unit.Blob;
using SpegelDapr.Unit.Kubernetes;

namespace SpegelDapr.Unit.NodeSetup;

/// <summary>What <c>configure</c> says of the node beyond its output.</summary>
public sealed class ConfigureCommandTests : IDisposable
{
    private static readonly NodeName Node = NodeName.Parse("node-a");

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("spegel-dapr-unit-");

    [Fact]
    public async Task What_stands_in_the_way_is_written_a_line_each()
    {
        await File.WriteAllTextAsync(At("config.toml"), "version = 2\n");
        Assert.Equal(0, await ConfigureAsync());
        var problems = await File.ReadAllLinesAsync(At("problems"));
        Assert.Equal([$"{At("none/containerd.sock")} cannot be asked (its directory does", "config_path is not set"], problems.Select(line => line.Split([" not exist", ", so"], StringSplitOptions.None)[0]));

        await File.WriteAllTextAsync(At("config.toml"), $"version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '{At("certs.d")}'\n");
        Assert.Equal(0, await ConfigureAsync());
        Assert.Equal([problems[0]], await File.ReadAllLinesAsync(At("problems")));
    }

    [Fact]
    public async Task An_Event_on_the_node_says_what_stands_in_the_way()
    {
        await using var server = await FakeApiServer.StartAsync();
        using var progress = new StringWriter();

        await NodeEvent.CreateAsync(Node, ["config_path is not set.", new string('x', 2000)], server.Kubeconfig, progress, CancellationToken.None);

        Assert.Empty(progress.ToString());
        var created = Assert.Single(server.Events);
        Assert.Equal(("Warning", "MirrorNotUsed"), (created.GetProperty("type").GetString(), created.GetProperty("reason").GetString()));
        Assert.Equal("default", created.GetProperty("metadata").GetProperty("namespace").GetString());
        var about = created.GetProperty("involvedObject");
        Assert.Equal(("Node", "node-a", "node-a"), (about.GetProperty("kind").GetString(), about.GetProperty("name").GetString(), about.GetProperty("uid").GetString()));
        Assert.StartsWith("config_path is not set. xxx", created.GetProperty("message").GetString(), StringComparison.Ordinal);
        Assert.InRange(created.GetProperty("message").GetString()!.Length, 1000, 1024);
        Assert.Equal(JsonValueKind.String, created.GetProperty("lastTimestamp").ValueKind);
    }

    [Fact]
    public async Task An_Event_that_cannot_be_created_is_a_line_and_no_error()
    {
        await using var server = await FakeApiServer.StartAsync();
        server.Refusal = HttpStatusCode.Forbidden;
        using var refused = new StringWriter();
        await NodeEvent.CreateAsync(Node, ["one"], server.Kubeconfig, refused, CancellationToken.None);
        await server.StopAsync();
        using var away = new StringWriter();
        await NodeEvent.CreateAsync(Node, ["one"], server.Kubeconfig, away, CancellationToken.None);

        Assert.Equal("No Event is shown on node node-a (the API server answers 403: allow the service account to create events).\n", refused.ToString());
        Assert.StartsWith("No Event is shown on node node-a (", Assert.Single(away.ToString().TrimEnd().Split('\n')), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_mirror_of_the_node_is_told_from_another_nodes()
    {
        await using var blob = await BlobNode.StartAsync(name: "node-a");
        var address = BlobAddress.Parse(blob.Uri.ToString());

        Assert.True((await MirrorAnswer.CheckAsync(address, Node, mustAnswer: true, CancellationToken.None))!.Ok);
        Assert.True((await MirrorAnswer.CheckAsync(address, null, mustAnswer: true, CancellationToken.None))!.Ok);
        var other = await MirrorAnswer.CheckAsync(address, NodeName.Parse("node-b"), mustAnswer: false, CancellationToken.None);
        Assert.False(other!.Ok);
        Assert.Contains("answers the mirror of node-a", other.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "something that is no mirror of spegel-dapr")]
    [InlineData("SSH-2.0-OpenSSH_9.2\r\n", "something that does not speak HTTP")]
    public async Task What_has_taken_the_mirrors_port_is_noticed(string answer, string who)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var answered = new TaskCompletionSource();
        var serving = Task.Run(async () =>
        {
            using var client = await listener.AcceptTcpClientAsync();
            await client.GetStream().WriteAsync(System.Text.Encoding.ASCII.GetBytes(answer));
            await answered.Task;
        });

        var finding = await MirrorAnswer.CheckAsync(BlobAddress.Parse($"http://{listener.LocalEndpoint}"), Node, mustAnswer: false, CancellationToken.None);

        answered.SetResult();
        await serving;
        Assert.False(finding!.Ok);
        Assert.Contains(who, finding.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task That_nobody_answers_yet_is_a_finding_only_where_the_mirror_should_run()
    {
        var nobody = BlobAddress.Parse(Loopback.FreeUri().ToString());

        Assert.Null(await MirrorAnswer.CheckAsync(nobody, Node, mustAnswer: false, CancellationToken.None));
        Assert.Contains("does not answer", (await MirrorAnswer.CheckAsync(nobody, Node, mustAnswer: true, CancellationToken.None))!.Message, StringComparison.Ordinal);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private Task<int> ConfigureAsync() => ConfigureCommand.Create().Parse(
        [
            "--certs-d", At("certs.d"), "--mirror", "http://127.0.0.1:5000", "--registry", "ghcr.io", "--containerd-config", At("config.toml"), "--problems", At("problems"),
            "--containerd-sock", At("none/containerd.sock"),
        ]).InvokeAsync();

    private string At(string name) => Path.Combine(_directory.FullName, name);
}
