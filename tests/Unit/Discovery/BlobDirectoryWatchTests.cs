using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Contracts;
using SpegelDapr.Discovery.Content;

namespace SpegelDapr.Unit.Discovery;

public sealed class BlobDirectoryWatchTests : IDisposable
{
    private static readonly TimeSpan Attaching = TimeSpan.FromSeconds(1);

    private readonly DirectoryInfo _content = Directory.CreateTempSubdirectory("spegel-dapr-test-");
    private readonly FakeTimeProvider _time = new();

    public void Dispose() => _content.Delete(recursive: true);

    [Fact]
    public void A_directory_that_vanishes_just_when_it_is_attached_is_waited_for_again()
    {
        var file = Path.Combine(_content.FullName, "blobs", "sha256", Some.Digest(1).Hex);
        var seen = new HashSet<Digest>();
        var isVanishing = true;
        using var watch = new BlobDirectoryWatch(_content.FullName, Changed, _time, NullLogger.Instance);

        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        _time.Advance(Attaching);
        Assert.False(Directory.Exists(Path.GetDirectoryName(file)));

        isVanishing = false;
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllBytes(file, [1]);
        _time.Advance(Attaching);
        Assert.Equal([Some.Digest(1)], seen);

        // Called when a directory has been attached, before what is in it is listed.
        void Changed(Digest? digest)
        {
            if (digest is not null)
            {
                seen.Add(digest.Value);
            }
            else if (isVanishing)
            {
                Directory.Delete(Path.GetDirectoryName(file)!);
            }
        }
    }
}
