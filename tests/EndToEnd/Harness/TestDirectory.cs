namespace SpegelDapr.EndToEnd.Harness;

/// <summary>A directory of a test's own, which goes with it; with SPEGEL_DAPR_TEST_KEEP=1 it stays, for a look at the logs.</summary>
/// <param name="name">What its name begins with.</param>
internal sealed class TestDirectory(string name = "spegel-dapr-test") : IDisposable
{
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory(name + "-");

    /// <summary>Its path.</summary>
    public string Path => _root.FullName;

    /// <summary>A directory in it, made now.</summary>
    public string Sub(string name) => Directory.CreateDirectory(System.IO.Path.Combine(Path, name)).FullName;

    /// <summary>A path in it.</summary>
    public string File(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose()
    {
        if (Environment.GetEnvironmentVariable("SPEGEL_DAPR_TEST_KEEP") != "1")
        {
            _root.Delete(recursive: true);
        }
    }
}
