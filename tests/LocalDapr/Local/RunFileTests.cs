using SpegelDapr.LocalDapr.Running;

namespace SpegelDapr.LocalDapr.Tests.Local;

public sealed class RunFileTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("localdapr-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void An_app_takes_from_common_what_it_does_not_say()
    {
        Directory.CreateDirectory(Path.Combine(_directory, "components"));
        Directory.CreateDirectory(Path.Combine(_directory, "src", "own"));

        var apps = Read("""
            version: 1
            common:
              resourcesPath: components
              env: { A: common, B: common }
            apps:
              - appID: first
                appDirPath: src
                appPort: 5020
                daprHTTPPort: 3520
                command: ["run", "it"]
                env: { B: own }
              - appDirPath: src
                resourcesPaths: [own]
            """);

        var (first, second) = (apps[0], apps[1]);
        Assert.Equal(("first", 5020, 3520, 0), (first.Sidecar.AppId, first.Sidecar.AppPort, first.Sidecar.HttpPort, first.Sidecar.GrpcPort));
        Assert.Equal([Path.Combine(_directory, "components")], first.Sidecar.ResourcesPaths);
        Assert.Equal(Path.Combine(_directory, "src"), first.Directory);
        Assert.Equal(["run", "it"], first.Command);
        Assert.Equal(("common", "own"), (first.Environment["A"], first.Environment["B"]));
        Assert.Equal("src", second.Sidecar.AppId);
        Assert.Equal([Path.Combine(_directory, "src", "own")], second.Sidecar.ResourcesPaths);
    }

    [Theory]
    [InlineData("apps: [{ appDirPath: . }]", "'version' is missing")]
    [InlineData("version: 1", "'apps' is missing")]
    [InlineData("version: 1\napps: [{ appID: a }]", "'appDirPath' is missing")]
    [InlineData("version: 1\napps: [{ appDirPath: nowhere }]", "does not exist")]
    [InlineData("version: 1\napps: [{ appDirPath: ., appPort: x }]", "appPort is 'x'")]
    [InlineData("version: 1\napps: [{ appDirPath: ., appProtocol: grpc }]", "'grpc'")]
    [InlineData("version: 1\napps: [{ appDirPath: ., apiListenAddresses: 0.0.0.0 }]", "127.0.0.1 alone")]
    [InlineData("version: 1\napps: [{ appDirPath: ., appPrt: 1 }]", "no key 'appPrt'")]
    public void What_is_wrong_is_named(string yaml, string problem) =>
        Assert.Contains(problem, Assert.Throws<LocalDaprException>(() => Read(yaml)).Message, StringComparison.Ordinal);

    [Fact]
    public void What_has_no_effect_here_is_told_once_unless_it_only_switches_something_off()
    {
        var file = Path.Combine(_directory, "dapr.yaml");
        File.WriteAllText(file, """
            version: 1
            common: { apiListenAddresses: 127.0.0.1, placementHostAddress: "", logLevel: debug }
            apps: [{ appDirPath: ., metricsPort: 9090 }, { appDirPath: ., metricsPort: 9091 }]
            """);

        Assert.Equal([$"logLevel in {file}", $"metricsPort in {file}"], RunFile.Read(file, resolutionDirectory: null).Ignored);
    }

    private IReadOnlyList<RunApp> Read(string yaml)
    {
        var file = Path.Combine(_directory, "dapr.yaml");
        File.WriteAllText(file, yaml);
        return RunFile.Read(file, resolutionDirectory: null).Apps;
    }
}
