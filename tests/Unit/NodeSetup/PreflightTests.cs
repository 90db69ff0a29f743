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
    [InlineData("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/etc/containerd/certs.d/\"\n")]
    [InlineData("[plugins.cri.registry]\nconfig_path = \"/etc/docker/certs.d:/etc/containerd/certs.d\"\n")]
    [InlineData("version = 3\n" + Images)]
    [InlineData("version = 3\n[plugins.'io.containerd.cri.v1.images']\nuse_local_image_pull = true\nregistry.config_path = '/etc/containerd/certs.d:/etc/docker/certs.d'")]
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
    [InlineData("disabled_plugins = ['cri']", "disabled_plugins has the CRI plugin")]
    [InlineData("version = ", "is not TOML")]
    public async Task What_stands_in_the_way_is_said(string config, string message) =>
        Assert.Contains(await CheckAsync(config), finding => !finding.Ok && finding.Message.Contains(message, StringComparison.Ordinal));

    [Fact]
    public async Task Imports_are_followed_and_a_section_is_replaced_or_merged_as_that_containerd_does()
    {
        await File.WriteAllTextAsync(At("10-certs.toml"), "version = 3\nroot = '/data'\n" + Images);
        await File.WriteAllTextAsync(At("20-other.toml"), "version = 3\nimports = ['config.toml']\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'native'");
        await File.WriteAllTextAsync(At("config.toml"), "version = 3\nimports = ['*0-*.toml']");

        Assert.Equal("/etc/containerd/certs.d", ContainerdConfigFile.Read(At("config.toml"), major: 2).ConfigPath);
        Assert.Equal("", ContainerdConfigFile.Read(At("config.toml"), major: 1).ConfigPath);
        Assert.Equal("/data/io.containerd.content.v1.content", ContainerdConfigFile.Read(At("config.toml"), major: 2).ContentPath);
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
        var findings = await PreflightChecks.RunAsync(Options(At("none.toml")) with { Socket = At("none.sock") }, CancellationToken.None);

        Assert.All(findings, finding => Assert.False(finding.Ok));
        Assert.StartsWith(At("none.sock"), findings[0].Message, StringComparison.Ordinal);
        Assert.StartsWith(At("none.toml"), findings[1].Message, StringComparison.Ordinal);
        Assert.Equal(2, findings.Count);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private static PreflightOptions Options(string? config) => new("/etc/containerd/certs.d", "/var/lib/containerd/io.containerd.content.v1.content", null, config);

    private async Task<IReadOnlyList<PreflightFinding>> CheckAsync(string config)
    {
        await File.WriteAllTextAsync(At("config.toml"), config);
        return await PreflightChecks.RunAsync(Options(At("config.toml")), CancellationToken.None);
    }

    private string At(string name) => Path.Combine(_directory.FullName, name);
}
