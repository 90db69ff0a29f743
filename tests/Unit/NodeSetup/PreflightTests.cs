using System.Net.Sockets;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Cli.NodeSetup.Cri;
using SpegelDapr.Cli.NodeSetup.Preflight;

namespace SpegelDapr.Unit.NodeSetup;

public sealed class PreflightTests : IDisposable
{
    private const string Images = """
        [plugins.'io.containerd.cri.v1.images'.registry]
        config_path = '/etc/containerd/certs.d'
        """;

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("spegel-dapr-unit-");

    [Theory]
    [InlineData("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/etc/containerd//certs.d/\"\n")]
    [InlineData("[plugins.cri.registry]\nconfig_path = \"/etc/docker/certs.d:/etc/containerd/certs.d\"\n")]
    [InlineData("version = 3\n" + Images)]
    [InlineData("version = 3\n[plugins.'io.containerd.cri.v1.images']\nuse_local_image_pull = true\nregistry.config_path = '/etc/containerd/certs.d:/etc/docker/certs.d'")]
    [InlineData("version = 3\n[plugins.'io.containerd.cri.v1.images']\nmax_concurrent_downloads = 10\nregistry.config_path = '/etc/containerd/certs.d:/etc/docker/certs.d'")]
    [InlineData("version = 3\n[plugins.'io.containerd.cri.v1.images']\nimage_pull_with_sync_fs = true\nregistry.config_path = '/etc/containerd/certs.d:/etc/docker/certs.d'")]
    [InlineData("version = 3\n[plugins.'io.containerd.cri.v1.images']\ndisable_snapshot_annotations = false\nregistry.config_path = '/etc/containerd/certs.d:/etc/docker/certs.d'")]
    [InlineData("version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/etc/containerd/certs.d:/etc/docker/certs.d'\nauths.'https://a'.username = 'b'")]
    [InlineData("version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/etc/containerd/certs.d:/etc/docker/certs.d'\nconfigs.a.tls.ca_file = 'b'")]
    public async Task A_configuration_that_names_our_directory_is_well(string config)
    {
        var findings = await CheckAsync(config);

        Assert.All(findings, finding => Assert.True(finding.Ok, finding.Message));
        Assert.Equal(["config-path", "discard-unpacked-layers", "content-path"], findings.Select(finding => finding.Check));
    }

    [Theory]
    [InlineData("version = 2", "config_path is not set")]
    [InlineData("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = '/etc/other'", "config_path is /etc/other, not /etc/containerd/certs.d")]
    [InlineData("version = 3\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = '/etc/containerd/certs.d'", "set it in [plugins.'io.containerd.cri.v1.images'.registry]")]
    [InlineData("version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/etc/containerd/certs.d:/etc/docker/certs.d'", "none of several directories is read: set it to /etc/containerd/certs.d alone")]
    [InlineData("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndiscard_unpacked_layers = true", "discard_unpacked_layers is true")]
    [InlineData("version = 3\n[plugins.'io.containerd.cri.v1.images']\ndiscard_unpacked_layers = true", "discard_unpacked_layers is true")]
    [InlineData("version = 2\nroot = '/data/containerd'", "content is in /data/containerd/io.containerd.content.v1.content, not in /var/lib/containerd/io.containerd.content.v1.content")]
    [InlineData("version = 3\n[plugins.'io.containerd.cri.v1.images']\ndiscard_unpacked_layers = true\nregistry.config_path = '/etc/containerd/certs.d:/etc/docker/certs.d'", "none of several directories is read")]
    [InlineData("version = 3\n[plugins.'io.containerd.cri.v1.images']\nmax_concurrent_downloads = 3\nregistry.config_path = '/etc/containerd/certs.d:/etc/docker/certs.d'", "none of several directories is read")]
    [InlineData("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = '/etc/containerd/certs.d'\nmirrors.'docker.io'.endpoint = ['https://a']", "registry.mirrors is set")]
    [InlineData("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nmirrors.'docker.io'.endpoint = ['https://a']", "once registry.mirrors is no longer there, set it to")]
    [InlineData("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = '/etc/containerd/certs.d'\nconfigs.'docker.io'.tls.ca_file = 'a'", "tls in registry.configs is set")]
    [InlineData("version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/etc/containerd/certs.d'\nmirrors.'docker.io'.endpoint = ['https://a']", "registry.mirrors is set")]
    [InlineData("imports = ['']", "config.toml has '' in imports, which is no file")]
    [InlineData("imports = [\"\\u0000\"]", "config.toml has '\\u0000' in imports, which is no file")]
    [InlineData("imports = ['/etc/conf[12].d/*.toml']", "name its directory without a pattern")]
    [InlineData("imports = ['/etc/conf?.d/*.toml']", "name its directory without a pattern")]
    [InlineData("imports = ['/etc/conf.d/[ab]*.toml']", "name its directory without a pattern")]
    [InlineData("disabled_plugins = ['cri']", "disabled_plugins has the CRI plugin")]
    [InlineData("version = ", "is not TOML")]
    public async Task What_stands_in_the_way_is_said(string config, string message) =>
        Assert.Contains(await CheckAsync(config), finding => !finding.Ok && finding.Message.Contains(message, StringComparison.Ordinal));

    /// <summary>What it says to write is read, in a file of each version and by each containerd.</summary>
    [Theory]
    [InlineData(null, "1.6.20", 2, "[plugins.\"io.containerd.grpc.v1.cri\".registry]", "[plugins.\"io.containerd.grpc.v1.cri\".containerd]")]
    [InlineData(null, "2.3.4", 3, "[plugins.\"io.containerd.cri.v1.images\".registry]", "[plugins.\"io.containerd.cri.v1.images\"]")]
    [InlineData("[plugins.cri.registry]\n[plugins.cri.containerd]\ndiscard_unpacked_layers = true", "1.7.34", null, "[plugins.\"cri\".registry]", "[plugins.\"cri\".containerd]")]
    [InlineData("version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\ndiscard_unpacked_layers = true", "1.7.34", 2, "[plugins.\"io.containerd.grpc.v1.cri\".registry]", "[plugins.\"io.containerd.grpc.v1.cri\".containerd]")]
    [InlineData("version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\ndiscard_unpacked_layers = true\nruntimes.runc.runtime_type = 'a'", "2.1.9", 2, "[plugins.\"io.containerd.grpc.v1.cri\".registry]", "[plugins.\"io.containerd.grpc.v1.cri\".containerd]")]
    [InlineData("version = 2\n[plugins.'io.containerd.cri.v1.images']\ndiscard_unpacked_layers = true", "2.2.7", 2, "[plugins.\"io.containerd.cri.v1.images\".registry]", "[plugins.\"io.containerd.cri.v1.images\"]")]
    [InlineData("version = 3\n[plugins.'io.containerd.cri.v1.images']\ndiscard_unpacked_layers = true", "2.3.4", 3, "[plugins.\"io.containerd.cri.v1.images\".registry]", "[plugins.\"io.containerd.cri.v1.images\"]")]
    public async Task The_lines_that_are_missing_are_said(string? config, string containerd, int? version, string registry, string layers)
    {
        var settings = new ContainerdSettings("socket") { Runtime = "containerd", Version = containerd, ConfigPath = "", DiscardsUnpackedLayers = true };
        if (config is not null)
        {
            await File.WriteAllTextAsync(At("config.toml"), config);
            settings = ContainerdConfigFile.Read(At("config.toml"), settings.Number) with { Version = containerd, Runtime = "containerd", DiscardsUnpackedLayers = true };
        }

        var findings = PreflightChecks.Check(settings, Options(null)).Where(finding => finding.Lines is not null).ToDictionary(finding => finding.Check, finding => finding.Lines!);

        string[] said = version is null ? [] : [$"version = {version}"];
        Assert.Equal([.. said, registry, "  config_path = \"/etc/containerd/certs.d\""], findings["config-path"]);
        Assert.Equal([.. said, layers, "  discard_unpacked_layers = false"], findings["discard-unpacked-layers"]);
        var written = string.Join('\n', [.. said, .. findings.SelectMany(finding => finding.Value.Skip(said.Length)), .. layers.Contains("grpc", StringComparison.Ordinal) ? ["runtimes.runc.runtime_type = 'a'"] : Array.Empty<string>()]);
        await File.WriteAllTextAsync(At("config.toml"), written);
        var mended = ContainerdConfigFile.Read(At("config.toml"), settings.Number) with { Version = containerd, Runtime = "containerd" };
        Assert.All(PreflightChecks.Check(mended, Options(null)), finding => Assert.True(finding.Ok, finding.Message));
    }

    [Fact]
    public async Task Imports_are_followed_and_a_section_is_replaced_or_merged_as_that_containerd_does()
    {
        await File.WriteAllTextAsync(At("10-certs.toml"), "version = 3\nroot = '/data'\n" + Images);
        await File.WriteAllTextAsync(At("20-other.toml"), "version = 3\nimports = ['config.toml']\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'native'");
        await File.WriteAllTextAsync(At("config.toml"), "version = 3\nimports = ['*0-*.toml']");

        Assert.Equal("/etc/containerd/certs.d", ContainerdConfigFile.Read(At("config.toml"), new Version(2, 0)).ConfigPath);
        Assert.Equal("", ContainerdConfigFile.Read(At("config.toml"), new Version(1, 7)).ConfigPath);
        Assert.Equal("/data/io.containerd.content.v1.content", ContainerdConfigFile.Read(At("config.toml"), new Version(2, 0)).ContentPath);
    }

    /// <summary>containerd 2.3 brings each file to its own version, earlier ones all of them to that of the last.</summary>
    [Theory]
    [InlineData(3, 2, "2.3", true)]
    [InlineData(3, 2, "2.2", true)]
    [InlineData(2, 3, "2.3", false)]
    [InlineData(2, 3, "2.2", false)]
    [InlineData(2, 2, "2.0", true)]
    [InlineData(2, 0, "2.1", true)]
    [InlineData(3, 0, "2.2", false)]
    [InlineData(3, 0, "2.3", true)]
    [InlineData(3, 2, "1.7", true)]
    public async Task An_imported_file_has_a_version_of_its_own(int first, int second, string containerd, bool isRead)
    {
        await File.WriteAllTextAsync(At("second.toml"), (second == 0 ? "" : $"version = {second}\n") + "[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/etc/containerd/certs.d'");
        await File.WriteAllTextAsync(At("config.toml"), $"version = {first}\nimports = ['second.toml']");

        var settings = ContainerdConfigFile.Read(At("config.toml"), Version.Parse(containerd));

        Assert.Equal(isRead ? "/etc/containerd/certs.d" : "", settings.ConfigPath);
        Assert.Equal(!isRead, settings.Misplaced is not null);
    }

    /// <summary>Where config_path is not set, containerd 2.2 has two directories, which are read where it pulls by itself.</summary>
    [Theory]
    [InlineData("2.1.4", true, false)]
    [InlineData("2.2.0", true, true)]
    [InlineData("2.2.0", false, false)]
    public void An_unset_config_path_has_a_meaning_since_2_2(string version, bool pullsLocally, bool ok) =>
        Assert.Equal(ok, PreflightChecks.Check(
            new ContainerdSettings("socket") { Runtime = "containerd", Version = version, ConfigPath = "", PullsLocally = pullsLocally }, Options(null)).Single(finding => finding.Check == "config-path").Ok);

    [Theory]
    [InlineData("""{"registry":{"configPath":"","mirrors":{"docker.io":{"endpoint":["https://a"]}},"configs":null}}""", "registry.mirrors is set")]
    [InlineData("""{"registry":{"configPath":"","mirrors":null,"configs":{"a":{"auth":null,"tls":null},"b":{"auth":null,"tls":{"ca_file":"c"}}}}}""", "tls in registry.configs is set")]
    [InlineData("""{"registry":{"configPath":"","mirrors":{},"configs":{"a":{"auth":null,"tls":null}}}}""", null)]
    [InlineData("{}", null)]
    public void Mirrors_of_the_older_kind_are_told_over_the_socket(string json, string? message)
    {
        var settings = CriStatus.Read("socket", new VersionResponse { RuntimeName = "containerd", RuntimeVersion = "1.7.27" }, json);

        var finding = PreflightChecks.Check(settings, Options(null)).SingleOrDefault(finding => finding.Check == "registry");

        Assert.Equal(message is null, finding is null);
        Assert.StartsWith(message ?? "", finding?.Message ?? "", StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_configuration_without_a_name_is_said()
    {
        var reading = await ReadAsync(Options(""));

        Assert.Contains(reading.Findings, finding => finding.Message.StartsWith("--containerd-config is empty", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("containerd", "1.5.18", false)]
    [InlineData("containerd", "1.6.20~ds1", true)]
    [InlineData("containerd", "v2.3.4", true)]
    [InlineData("cri-o", "1.30.0", false)]
    public void The_runtime_must_be_containerd_of_a_version_with_CRI_v1(string runtime, string version, bool ok) =>
        Assert.Equal(ok, PreflightChecks.Check(new ContainerdSettings("socket") { Runtime = runtime, Version = version }, Options(null)).First().Ok);

    [Fact]
    public void What_containerd_2_does_not_tell_over_its_socket_is_asked_for() =>
        Assert.Contains(
            PreflightChecks.Check(new ContainerdSettings("socket") { Runtime = "containerd", Version = "2.1.0", Root = "/var/lib/containerd" }, Options(null)),
            finding => finding is { Check: "config-path", Ok: false } && finding.Message.EndsWith("--containerd-config.", StringComparison.Ordinal));

    [Fact]
    public async Task A_socket_and_a_file_that_are_not_there_are_named()
    {
        var findings = (await ReadAsync(Options(At("none.toml")) with { Socket = At("none/containerd.sock") })).Findings;

        Assert.All(findings, finding => Assert.False(finding.Ok));
        Assert.StartsWith(At("none/containerd.sock"), findings[0].Message, StringComparison.Ordinal);
        Assert.StartsWith(At("none.toml"), findings[1].Message, StringComparison.Ordinal);
        Assert.Equal(2, findings.Count);
    }

    [Fact]
    public async Task A_containerd_that_takes_connections_and_does_not_answer_is_waited_for_and_then_named()
    {
        var time = new FakeTimeProvider();
        using var progress = new StringWriter();
        using var silent = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        silent.Bind(new UnixDomainSocketEndPoint(At("silent.sock")));
        silent.Listen();

        var reading = ContainerdSources.ReadAsync(Options(null) with { Socket = At("silent.sock") }, time, progress, CancellationToken.None);
        while (await Task.WhenAny(reading, Task.Delay(TimeSpan.FromMilliseconds(5))) != reading)
        {
            Assert.True(time.GetUtcNow() - time.Start < TimeSpan.FromMinutes(10), "It waits for ever.");
            time.Advance(TimeSpan.FromMilliseconds(500));
        }

        var error = await Assert.ThrowsAsync<ContainerdSilentException>(() => reading);
        Assert.StartsWith($"{At("silent.sock")} has not answered for 60 s (no answer within 5 s): ", error.Message, StringComparison.Ordinal);
        Assert.Single(progress.ToString().TrimEnd().Split('\n'));
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private static PreflightOptions Options(string? config) => new("/etc/containerd/certs.d", "/var/lib/containerd/io.containerd.content.v1.content", null, config);

    private static Task<ContainerdReading> ReadAsync(PreflightOptions options) =>
        ContainerdSources.ReadAsync(options, TimeProvider.System, TextWriter.Null, CancellationToken.None);

    private async Task<IReadOnlyList<PreflightFinding>> CheckAsync(string config)
    {
        await File.WriteAllTextAsync(At("config.toml"), config);
        var options = Options(At("config.toml"));
        return PreflightChecks.Check(await ReadAsync(options), options);
    }

    private string At(string name) => Path.Combine(_directory.FullName, name);
}
