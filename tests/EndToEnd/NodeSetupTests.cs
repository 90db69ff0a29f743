using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Grpc.Core;
using SpegelDapr.Cli.NodeSetup.Preflight;
using SpegelDapr.EndToEnd.Harness;

namespace SpegelDapr.EndToEnd;

/// <summary><c>configure</c> and <c>cleanup</c> with a containerd that runs meanwhile, as on a node.</summary>
[Trait("Suite", "containerd")]
public sealed class NodeSetupTests : IAsyncLifetime, IDisposable
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "spegel-dapr.dll");

    private const string SnapshotsTable = "\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\n";

    private readonly TestDirectory _directory = new();
    private readonly Registry _registry;
    private readonly TestImages _images;
    private readonly Containerd _containerd;
    private CountingMirror? _mirror;

    public NodeSetupTests()
    {
        _registry = new Registry(_directory);
        _images = new TestImages(_directory, _registry);
        _containerd = new Containerd(_directory.Sub("containerd"), _registry.Address, new Uri("http://127.0.0.1:1"));
    }

    private CountingMirror Mirror => _mirror!;

    /// <summary>The registry's name that says where it is, so that containerd needs no hosts.toml for it.</summary>
    private string LocalRegistry => _registry.Address.Authority;

    public async Task InitializeAsync()
    {
        _mirror = await CountingMirror.StartAsync();
        await _registry.StartAsync();
    }

    public async Task DisposeAsync()
    {
        await _containerd.DisposeAsync();
        await _registry.DisposeAsync();
        if (_mirror is not null)
        {
            await _mirror.DisposeAsync();
        }
    }

    public void Dispose() => _directory.Dispose();

    [RealFact]
    public async Task Pulls_ask_the_mirror_first_and_then_the_registry_until_cleanup()
    {
        await _containerd.StartAsync();
        await ConfigureAsync("--registry", Registry.Host, "--content-path", _containerd.ContentPath, "--containerd-config", _containerd.ConfigFile, "--problems", _directory.File("problems"));
        Assert.Empty(await File.ReadAllTextAsync(_directory.File("problems")));

        var image = await PullNewAsync(Registry.Host);

        Assert.Contains($"/v2/team/image-1/manifests/1?ns={Registry.Host}", Mirror.Requests);
        Assert.All(image.Layers, layer => Assert.Contains($"/v2/team/image-1/blobs/{layer.Digest}?ns={Registry.Host}", Mirror.Requests));
        Assert.True(_registry.BlobRequests > 0);

        await RunAsync("cleanup", "--certs-d", _containerd.Hosts);
        await NothingIsAskedOfTheMirrorAsync(Registry.Host);
    }

    [RealFact]
    public async Task Without_tags_the_mirror_is_asked_for_digests_alone()
    {
        await _containerd.StartAsync();
        await ConfigureAsync("--registry", Registry.Host, "--resolve-tags", "false");

        await PullNewAsync(Registry.Host);

        Assert.NotEmpty(Mirror.Requests);
        Assert.All(Mirror.Requests, request => Assert.Contains("sha256:", request, StringComparison.Ordinal));
    }

    [RealFact]
    public async Task A_registry_without_a_directory_is_mirrored_by_name_and_by_default()
    {
        await _containerd.StartAsync();
        foreach (var arguments in new string[][] { ["--registry", $"http://{LocalRegistry}"], ["--registry", LocalRegistry], [] })
        {
            var before = Mirror.Requests.Count;
            await ConfigureAsync(arguments);
            await PullNewAsync(LocalRegistry);
            Assert.True(Mirror.Requests.Count > before, string.Join(' ', arguments));
        }

        await RunAsync("cleanup", "--certs-d", _containerd.Hosts);
        await NothingIsAskedOfTheMirrorAsync(LocalRegistry);
    }

    [RealFact]
    public async Task A_mirror_that_was_there_is_asked_after_ours()
    {
        await using var other = await CountingMirror.StartAsync();
        await File.WriteAllTextAsync(
            Path.Combine(_containerd.Hosts, Registry.Host, "hosts.toml"), $"server = '{_registry.Address}'\n[host.'{other.Address}']\ncapabilities = ['pull', 'resolve']\n");
        await _containerd.StartAsync();

        await ConfigureAsync("--registry", Registry.Host, "--prepend-existing");
        await PullNewAsync(Registry.Host);

        Assert.NotEmpty(Mirror.Requests);
        Assert.Equal(Mirror.Requests.Order(), other.Requests.Order());

        await ConfigureAsync("--registry", Registry.Host);
        var before = other.Requests.Count;
        await PullNewAsync(Registry.Host);
        Assert.Equal(before, other.Requests.Count);
    }

    [RealFact]
    public async Task Certificates_of_the_registry_that_lie_in_its_directory_stay_in_use()
    {
        var port = Machine.Local.NextPort();
        var registry = $"127.0.0.1:{port}";
        await using var server = await StartTlsRegistryAsync(port);
        await _containerd.StartAsync();

        await ConfigureAsync("--registry", $"https://{registry}");
        await Assert.ThrowsAsync<RpcException>(() => PullNewAsync(registry));

        File.Copy(_directory.File("ca.crt"), Path.Combine(_containerd.Hosts, registry, "ca.crt"));
        await ConfigureAsync("--registry", $"https://{registry}");
        await PullNewAsync(registry);
    }

    [RealFact]
    public async Task Preflight_says_what_the_running_containerd_is()
    {
        // The file ends with containerd 2's table of images.
        await File.AppendAllTextAsync(_containerd.ConfigFile, $"{(ContainerdRelease.IsSecond ? "" : SnapshotsTable)}  discard_unpacked_layers = true\n");
        await _containerd.StartAsync();

        var told = await CriStatus.ReadAsync(_containerd.Socket, TimeProvider.System, TextWriter.Null, CancellationToken.None);
        var read = ContainerdConfigFile.Read(_containerd.ConfigFile, told.Number);

        Assert.Equal("containerd", told.Runtime);
        Assert.NotNull(told.Number);
        Assert.Equal(_containerd.ContentPath, told.ContentPath);
        Assert.Equal(read, told.CompletedBy(read) with { Source = read.Source, Runtime = null, Version = null });
        Assert.Equal(_containerd.Hosts, read.ConfigPath);

        var (exitCode, findings) = await CheckAsync("--certs-d", _containerd.Hosts, "--content-path", _containerd.ContentPath);
        Assert.Equal(1, exitCode);
        Assert.Equal(["discard-unpacked-layers"], findings.Where(finding => !finding.Value).Select(finding => finding.Key));

        (_, findings) = await CheckAsync("--certs-d", "/etc/elsewhere");
        Assert.Equal(["config-path", "content-path", "discard-unpacked-layers"], findings.Where(finding => !finding.Value).Select(finding => finding.Key).Order());
    }

    /// <summary>containerd 2 takes what concerns layers out of an older file only if that names a runtime.</summary>
    [RealFact]
    public async Task Preflight_reads_an_older_file_as_this_containerd_does()
    {
        foreach (var runtimes in new[] { "", "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n  runtime_type = \"io.containerd.runc.v2\"\n" })
        {
            await File.WriteAllTextAsync(
                _containerd.ConfigFile,
                $"{ContainerdRelease.Configuration(_directory.Path, _containerd.Socket, _containerd.Hosts, asFirst: true)}{SnapshotsTable}  discard_unpacked_layers = true\n{runtimes}");

            var merged = await ExternalProcess.RunAsync(ContainerdRelease.Daemon, ["--config", _containerd.ConfigFile, "config", "dump"]);

            Assert.Equal(
                merged.Contains("discard_unpacked_layers = true", StringComparison.Ordinal),
                ContainerdConfigFile.Read(_containerd.ConfigFile, ContainerdRelease.Version).DiscardsUnpackedLayers);
        }
    }

    [RealFact]
    public async Task The_lines_that_preflight_prints_are_all_that_is_missing()
    {
        var lines = (await File.ReadAllLinesAsync(_containerd.ConfigFile))
            .Where(line => !line.Contains(".registry]", StringComparison.Ordinal) && !line.Contains("config_path", StringComparison.Ordinal)).ToList();
        await File.WriteAllLinesAsync(_containerd.ConfigFile, lines);
        await _containerd.StartAsync();
        string[] check = ["configure", "--check", "--containerd-sock", _containerd.Socket, "--containerd-config", _containerd.ConfigFile, "--certs-d", _containerd.Hosts, "--content-path", _containerd.ContentPath];

        var (exitCode, output) = await ExternalProcess.TryRunAsync("dotnet", [Program, .. check]);
        Assert.Equal(1, exitCode);
        var printed = output.Split('\n').Where(line => line.StartsWith("    ", StringComparison.Ordinal)).Select(line => line.Trim()).ToList();
        Assert.Contains(printed[0], lines);
        await _containerd.StopAsync();
        await File.WriteAllLinesAsync(_containerd.ConfigFile, [.. lines, .. printed.Skip(1)]);
        await _containerd.StartAsync();

        (exitCode, output) = await ExternalProcess.TryRunAsync("dotnet", [Program, .. check]);
        Assert.True(exitCode == 0, output);
        await ConfigureAsync("--registry", Registry.Host);
        await PullNewAsync(Registry.Host);
        Assert.NotEmpty(Mirror.Requests);
    }

    [RealFact]
    public async Task A_containerd_that_answers_late_is_waited_for()
    {
        await _containerd.StartAsync();
        _containerd.Freeze();

        await using var configure = ExternalProcess.Start(
            "configure",
            _directory.Path,
            "dotnet",
            [Program, "configure", "--certs-d", _containerd.Hosts, "--mirror", "http://127.0.0.1:5000", "--registry", "ghcr.io", "--containerd-sock", _containerd.Socket]);
        await Eventually.HoldsAsync("it says that it waits", () => configure.Output.Contains("does not answer yet", StringComparison.Ordinal));
        Assert.False(Directory.Exists(Path.Combine(_containerd.Hosts, "ghcr.io")));
        _containerd.Thaw();

        await Eventually.HoldsAsync("it ends", () => configure.HasExited);
        Assert.Contains("✓ containerd is ", configure.Output, StringComparison.Ordinal);
        Assert.Single(configure.Output.Split('\n'), line => line.Contains("does not answer yet", StringComparison.Ordinal));
        Assert.True(File.Exists(Path.Combine(_containerd.Hosts, "ghcr.io", "hosts.toml")));
    }

    [RealFact]
    public async Task A_mirror_that_this_containerd_could_not_read_is_refused_before_anything_is_written()
    {
        await _containerd.StartAsync();
        var isRead = (await CriStatus.ReadAsync(_containerd.Socket, TimeProvider.System, TextWriter.Null, CancellationToken.None)).Number >= new Version(2, 0);
        var before = Directory.GetFileSystemEntries(_containerd.Hosts);

        var (exitCode, output) = await ExternalProcess.TryRunAsync(
            "dotnet", [Program, "configure", "--certs-d", _containerd.Hosts, "--mirror", "http://::1:5000", "--registry", "ghcr.io", "--containerd-sock", _containerd.Socket]);

        Assert.Equal(isRead ? 0 : 1, exitCode);
        Assert.Equal(isRead, !before.SequenceEqual(Directory.GetFileSystemEntries(_containerd.Hosts)));
        Assert.Equal(!isRead, output.Contains("cannot read an IPv6 address", StringComparison.Ordinal));
        Assert.Equal(isRead, File.Exists(Path.Combine(_containerd.Hosts, "ghcr.io", "hosts.toml"))
            && (await File.ReadAllTextAsync(Path.Combine(_containerd.Hosts, "ghcr.io", "hosts.toml"))).Contains("http://[::1]:5000", StringComparison.Ordinal));
    }

    /// <summary>A runtime that drops privileges reads what it made.</summary>
    [Fact]
    public async Task What_is_made_can_be_read_whatever_the_umask()
    {
        var certs = _directory.File("certs.d");

        await ExternalProcess.RunAsync("sh", ["-c", "umask 077 && exec dotnet \"$@\"", "sh", Program, "configure", "--certs-d", certs, "--mirror", "http://127.0.0.1:5000", "--registry", "ghcr.io"]);

        Assert.Equal("755\n755\n", await ExternalProcess.RunAsync("stat", ["-c", "%a", certs, Path.Combine(certs, "ghcr.io")]));
    }

    private static async Task<string> RunAsync(params string[] arguments) => await ExternalProcess.RunAsync("dotnet", [Program, .. arguments]);

    private Task<string> ConfigureAsync(params string[] arguments) =>
        RunAsync(["configure", "--certs-d", _containerd.Hosts, "--mirror", Mirror.Address.GetLeftPart(UriPartial.Authority), .. arguments, "--containerd-sock", _containerd.Socket]);

    private async Task<(int ExitCode, IReadOnlyDictionary<string, bool> Findings)> CheckAsync(params string[] arguments)
    {
        var (exitCode, output) = await ExternalProcess.TryRunAsync("dotnet", [Program, "configure", "--check", "--json", "--containerd-sock", _containerd.Socket, "--containerd-config", _containerd.ConfigFile, .. arguments]);
        using var result = JsonDocument.Parse(output);
        Assert.Equal(exitCode == 0, result.RootElement.GetProperty("ok").GetBoolean());
        return (exitCode, result.RootElement.GetProperty("preflight").EnumerateArray().ToDictionary(finding => finding.GetProperty("check").GetString()!, finding => finding.GetProperty("ok").GetBoolean()));
    }

    /// <summary>Pushes an image and pulls it over CRI, by a name of the registry.</summary>
    private async Task<TestImage> PullNewAsync(string registry)
    {
        var image = await _images.PushAsync([1024, 2048]);
        await _containerd.CriPullAsync(image.Reference.Replace(Registry.Host, registry, StringComparison.Ordinal));
        return image;
    }

    private async Task NothingIsAskedOfTheMirrorAsync(string registry)
    {
        var before = Mirror.Requests.Count;
        await PullNewAsync(registry);
        Assert.Equal(before, Mirror.Requests.Count);
    }

    /// <summary>A second server of the registry's content, with a certificate that only <c>ca.crt</c> vouches for.</summary>
    private async Task<ExternalProcess> StartTlsRegistryAsync(int port)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=registry", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        await File.WriteAllTextAsync(_directory.File("ca.crt"), certificate.ExportCertificatePem());
        await File.WriteAllTextAsync(_directory.File("tls.key"), key.ExportPkcs8PrivateKeyPem());
        await File.WriteAllTextAsync(_directory.File("tls-registry.yml"), $"""
            version: 0.1
            storage:
              filesystem:
                rootdirectory: {_directory.Sub("registry")}
            http:
              addr: 127.0.0.1:{port}
              tls:
                certificate: {_directory.File("ca.crt")}
                key: {_directory.File("tls.key")}
            """);
        var server = ExternalProcess.Start("tls-registry", _directory.Path, "docker-registry", ["serve", _directory.File("tls-registry.yml")]);
        using var authority = X509CertificateLoader.LoadCertificateFromFile(_directory.File("ca.crt"));
        var trust = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, CustomTrustStore = { authority }, RevocationMode = X509RevocationMode.NoCheck };
        await Eventually.HoldsAsync("the registry listens with TLS", async () =>
        {
            using var client = new HttpClient(new SocketsHttpHandler { UseProxy = false, SslOptions = { CertificateChainPolicy = trust } });
            using var response = await client.GetAsync(new Uri($"https://127.0.0.1:{port}/v2/"));
            return response.IsSuccessStatusCode;
        });
        return server;
    }
}
