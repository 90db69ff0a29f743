using System.Diagnostics.Metrics;
using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting.Internal;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Blob.Local;
using SpegelDapr.Blob;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit.Blob.Local;

public sealed class LocalContentTests : IDisposable
{
    private const int LargeBytes = (int)ContentVerifier.SmallBytes + 1;

    /// <summary>Longer than anything here takes, unless it hangs.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly string _directory = Directory.CreateTempSubdirectory("content-").FullName;
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);
    private readonly ManualResetEventSlim _gate = new();
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly ApplicationLifetime _lifetime = new(NullLogger<ApplicationLifetime>.Instance);
    private readonly IOptions<BlobOptions> _options;
    private readonly ContentVerifier _verifier;
    private readonly LocalContent _local;

    public LocalContentTests()
    {
        Directory.CreateDirectory(Path.Combine(_directory, "blobs", "sha256"));
        _options = Options.Create(new BlobOptions { ContentPath = _directory });
        _verifier = new ContentVerifier(
            _options, new BlobMetrics(_services.GetRequiredService<IMeterFactory>(), Options.Create(new NodeOptions()), _time), _time, _lifetime, NullLogger<ContentVerifier>.Instance);
        _local = new LocalContent(_options, _verifier, NullLogger<LocalContent>.Instance);
    }

    public void Dispose()
    {
        _gate.Set();
        _lifetime.StopApplication();
        _verifier.Dispose();
        _services.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task Small_content_is_there_while_large_content_is_checked()
    {
        for (var seed = 0; seed < Environment.ProcessorCount; seed++)
        {
            _ = MatchesStuckAsync(KeepLarge(seed));
        }

        Assert.True(await IsThereAsync(Keep(TestContent.Bytes(200))));
    }

    [Fact]
    public async Task A_check_that_takes_too_long_is_not_waited_for_but_goes_on()
    {
        var digest = KeepLarge(1);
        var first = MatchesStuckAsync(digest);

        _time.Advance(_options.Value.PeerStartBudget);
        Assert.False(await first.WaitAsync(Patience));

        _gate.Set();
        var second = _verifier.MatchesAsync(
            digest, _local.Identify(digest)!.Value, () => throw new InvalidOperationException("The first run goes on."), CancellationToken.None);
        Assert.True(await second.WaitAsync(Patience));
    }

    [Fact]
    public async Task What_is_checked_ahead_holds_up_nothing_that_is_asked_for()
    {
        var ahead = Enumerable.Range(0, Environment.ProcessorCount + 1).Select(KeepLarge).ToArray();
        foreach (var digest in ahead)
        {
            var opened = 0;
            _ = _verifier.MatchAheadAsync(digest, () => Interlocked.Increment(ref opened) == 1 ? Open(digest) : OpenStuck(digest));
        }

        Assert.True(await IsThereAsync(ahead[^1]));
        Assert.True(await IsThereAsync(KeepLarge(-1)));
    }

    [Fact]
    public async Task A_copy_that_has_changed_with_its_time_unchanged_is_found_out_after_a_while()
    {
        var bytes = TestContent.Bytes(200);
        var digest = Keep(bytes);
        Assert.True(await IsThereAsync(digest));
        var written = File.GetLastWriteTimeUtc(PathOf(digest));
        await File.WriteAllBytesAsync(PathOf(digest), TestContent.Flipped(bytes, 100));
        File.SetLastWriteTimeUtc(PathOf(digest), written);

        _time.Advance(ContentVerifier.Holds - TimeSpan.FromSeconds(1));
        Assert.True(await IsThereAsync(digest));

        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.False(await IsThereAsync(digest));
    }

    [Fact]
    public async Task What_has_been_received_and_then_committed_is_not_read_again()
    {
        var bytes = TestContent.Bytes(LargeBytes);
        var digest = Digest.OfSha256(bytes);

        var committing = ReceivedAsync(digest, LargeBytes);
        Assert.False(committing.IsCompleted);
        Keep(bytes);
        await AdvanceUntilDoneAsync(committing);

        Assert.True(await _verifier.MatchesAsync(digest, _local.Identify(digest)!.Value, IsNotOpened, CancellationToken.None));
    }

    [Theory]
    [InlineData("was there before")]
    [InlineData("has another length")]
    [InlineData("was written before")]
    [InlineData("comes too late")]
    [InlineData("is written again")]
    public async Task A_file_that_is_not_what_has_been_received_is_read(string how)
    {
        var bytes = TestContent.Bytes(200);
        var digest = Digest.OfSha256(bytes);
        void Commit(byte[] content, TimeSpan later)
        {
            var file = Path.Combine(_directory, "data");
            File.WriteAllBytes(file, content);
            File.SetLastWriteTimeUtc(file, _time.GetUtcNow().UtcDateTime + later);
            File.Move(file, PathOf(digest), overwrite: true);
        }

        if (how == "was there before")
        {
            Commit(TestContent.Flipped(bytes, 0), -TimeSpan.FromSeconds(1));
        }

        var committing = ReceivedAsync(digest, bytes.Length);
        switch (how)
        {
            case "has another length":
                Commit(bytes[1..], TimeSpan.FromSeconds(1));
                break;
            case "was written before":
                Commit(TestContent.Flipped(bytes, 0), -TimeSpan.FromSeconds(1));
                break;
            case "comes too late":
                await AdvanceUntilDoneAsync(committing);
                Commit(TestContent.Flipped(bytes, 0), TimeSpan.FromSeconds(1));
                break;
            case "is written again":
                Commit(bytes, TimeSpan.FromSeconds(1));
                await AdvanceUntilDoneAsync(committing);
                Commit(TestContent.Flipped(bytes, 0), TimeSpan.FromSeconds(2));
                break;
        }

        await AdvanceUntilDoneAsync(committing);

        Assert.False(await IsThereAsync(digest));
    }

    [Fact]
    public async Task Another_node_is_told_at_once_that_large_content_is_still_being_checked()
    {
        var digest = KeepLarge(1);
        var identity = _local.Identify(digest)!.Value;

        var asked = _verifier.MatchesForPeerAsync(digest, identity, () => OpenStuck(digest), CancellationToken.None);
        _time.Advance(TimeSpan.FromMilliseconds(50));
        Assert.Null(await asked.WaitAsync(Patience));

        _gate.Set();
        Assert.True(await _verifier.MatchesAsync(digest, identity, IsNotOpened, CancellationToken.None).WaitAsync(Patience));
        Assert.True(await _verifier.MatchesForPeerAsync(digest, identity, IsNotOpened, CancellationToken.None));
    }

    [Theory]
    [InlineData("mkfifo", "{0}")]
    [InlineData("ln", "-s /dev/zero {0}")]
    [InlineData("ln", "-s nowhere {0}")]
    [InlineData("mkdir", "{0}")]
    public async Task What_is_no_file_is_no_content(string program, string arguments)
    {
        var digest = Digest.OfSha256([1]);
        using (var process = Process.Start(program, string.Format(CultureInfo.InvariantCulture, arguments, PathOf(digest))))
        {
            await process.WaitForExitAsync();
            Assert.Equal(0, process.ExitCode);
        }

        Assert.False(await IsThereAsync(digest));
    }

    [Fact]
    public async Task A_link_to_a_file_and_a_file_without_bytes_are_content()
    {
        var digest = Digest.OfSha256([1]);
        var target = Path.Combine(_directory, "target");
        await File.WriteAllBytesAsync(target, [1]);
        File.CreateSymbolicLink(PathOf(digest), target);

        Assert.True(await IsThereAsync(digest));
        Assert.True(await IsThereAsync(Keep([])));
    }

    [Fact]
    public async Task Nothing_is_read_beyond_the_length_that_was_seen()
    {
        var digest = Keep([1, 2, 3]);
        using var file = await _local.OpenAsync(digest, CancellationToken.None);
        await File.AppendAllTextAsync(PathOf(digest), "more");

        Assert.Equal(3, file!.Read(new byte[10], 0));
        Assert.Equal(1, file.Read(new byte[10], 2));
        Assert.Equal(0, file.Read(new byte[10], 3));
        Assert.Equal(0, file.Read(new byte[10], long.MaxValue));
    }

    private static LocalFile IsNotOpened() => throw new InvalidOperationException("What is known is not opened again.");

    private Task ReceivedAsync(Digest digest, long length) => _verifier.ReceivedAsync(digest, length, () => _local.Identify(digest));

    private async Task AdvanceUntilDoneAsync(Task waiting)
    {
        for (var second = 0; !waiting.IsCompleted && second < 100; second++)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            await Task.WhenAny(waiting, Task.Delay(10));
        }

        await waiting.WaitAsync(Patience);
    }

    private Digest KeepLarge(int seed) => Keep(TestContent.Bytes(LargeBytes, seed));

    private Digest Keep(byte[] bytes)
    {
        var digest = Digest.OfSha256(bytes);
        File.WriteAllBytes(PathOf(digest), bytes);
        return digest;
    }

    private string PathOf(Digest digest) => Path.Combine(_directory, "blobs", digest.Algorithm, digest.Hex);

    private LocalFile Open(Digest digest) => new(File.OpenHandle(PathOf(digest)), _local.Identify(digest)!.Value);

    /// <summary>As slow as a test wants a check to be.</summary>
    private LocalFile OpenStuck(Digest digest)
    {
        _gate.Wait();
        return Open(digest);
    }

    private Task<bool> MatchesStuckAsync(Digest digest) =>
        _verifier.MatchesAsync(digest, _local.Identify(digest)!.Value, () => OpenStuck(digest), CancellationToken.None);

    private Task<bool> IsThereAsync(Digest digest) => Task.Run(async () =>
    {
        using var file = await _local.OpenAsync(digest, CancellationToken.None);
        return file is not null;
    }).WaitAsync(Patience);
}
