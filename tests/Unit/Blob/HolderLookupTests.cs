using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting.Internal;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

public sealed class HolderLookupTests : IAsyncLifetime, IDisposable
{
    private const string Tag = "docker.io/library/app:1";

    private static readonly Digest Layer = Digest.OfSha256([1]);
    private static readonly Digest Manifest = Digest.OfSha256([2]);
    private static readonly Holder Holder =
        new(new NodeIdentity(NodeName.Parse("node-b"), Location.Parse("eu/a"), BlobAddress.Parse("http://10.0.0.2:5000")), Tier.SameZone);

    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(50));
    private FakeResolver _resolver = null!;
    private NodesResolverClient _client = null!;
    private HolderLookup _lookup = null!;

    public async Task InitializeAsync()
    {
        _resolver = await FakeResolver.StartAsync();
        _client = new NodesResolverClient(_resolver.Uri, _time, NullLogger<ResolverClient>.Instance);
        _lookup = new HolderLookup(_client.Client, _time, new ApplicationLifetime(NullLogger<ApplicationLifetime>.Instance));
    }

    public Task DisposeAsync() => _resolver.DisposeAsync().AsTask();

    public void Dispose()
    {
        _lookup.Dispose();
        _client.Dispose();
    }

    [Fact]
    public async Task A_miss_is_asked_anew_after_a_twentieth_of_a_second()
    {
        Assert.Empty((await FindAsync(Layer))!.Holders);
        _resolver.Holds(Layer, Holder);
        _time.Advance(TimeSpan.FromMilliseconds(49));
        Assert.Empty((await FindAsync(Layer))!.Holders);
        Assert.Single(_resolver.Questions);

        _time.Advance(TimeSpan.FromMilliseconds(1));

        Assert.Equal([Holder], (await FindAsync(Layer))!.Holders);
    }

    [Fact]
    public async Task Requests_for_the_same_key_share_one_question()
    {
        var answers = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => FindAsync(Layer).AsTask()));

        Assert.All(answers, answer => Assert.Empty(answer!.Holders));
        Assert.Single(_resolver.Questions);
    }

    [Fact]
    public async Task Holders_that_were_known_are_used_for_five_minutes_while_no_resolver_answers_and_those_of_a_tag_for_ten_seconds()
    {
        _resolver.Holds(Layer, Holder);
        _resolver.Tags(Tag, Manifest, Holder);
        await FindAsync(Layer);
        await FindAsync(ContentKey.Parse(Tag));
        _resolver.Failing = TakenInTurn.Answering([], StatusCodes.Status503ServiceUnavailable);

        _time.Advance(TimeSpan.FromSeconds(9));
        Assert.Equal(Manifest, (await FindAsync(ContentKey.Parse(Tag)))!.Digest);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Null(await FindAsync(ContentKey.Parse(Tag)));

        _time.Advance(TimeSpan.FromMinutes(4));
        Assert.Equal([Holder], (await FindAsync(Layer))!.Holders);
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.Null(await FindAsync(Layer));
        Assert.True(_resolver.Questions.Count > 4);
    }

    [Fact]
    public async Task Holders_that_have_not_helped_are_not_used_while_no_resolver_answers()
    {
        _resolver.Holds(Layer, Holder);
        await FindAsync(Layer);
        _resolver.Failing = TakenInTurn.Answering([], StatusCodes.Status503ServiceUnavailable);

        _lookup.Forget(Layer);

        Assert.Null(await FindAsync(Layer));
    }

    private ValueTask<ResolvedKey?> FindAsync(ContentKey key) => _lookup.FindAsync(key, CancellationToken.None);
}
