using System.Text.Json.Nodes;
using System.Text.Json;
using System.Text;
using FsCheck.Xunit;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Blob.Resolving;
using SpegelDapr.Blob;
using SpegelDapr.Contracts;
using SpegelDapr.Unit.Resolver;

namespace SpegelDapr.Unit.Blob;

public sealed class ResolverClientTests : IAsyncLifetime, IDisposable
{
    private static readonly TimeSpan Budget = new BlobOptions().ResolveBudget;
    private static readonly TimeSpan Late = Budget / 5;
    private static readonly Digest Layer = Digest.OfSha256([1]);
    private static readonly ContentKey Tag = ContentKey.Parse("docker.io/library/app:1");
    private static readonly ContentKey[] Keys = [Layer, Tag];
    private static readonly NodeIdentity Holder = new(NodeName.Parse("node-b"), Location.Parse("eu/a"), BlobAddress.Parse("http://10.0.0.2:5000"));
    private static readonly PeerClaim Claim = new(Holder.Location, Holder.Name);
    private static readonly ResolveAnswer Resolved = new(
        [new ResolvedKey(Layer, [new Holder(Holder, Tier.SameZone)]), new ResolvedKey(Tag, [new Holder(Holder, Tier.SameZone)], Layer)]);

    private static readonly byte[] Good = JsonSerializer.SerializeToUtf8Bytes(Resolved, ContractsJson.Default.ResolveAnswer);

    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(50));
    private readonly CollectingLogger _logger = new();
    private TakenInTurn _sidecar = null!;
    private NodesResolverClient _node = null!;

    private ResolverClient Client => _node.Client;

    public async Task InitializeAsync()
    {
        _sidecar = await TakenInTurn.StartAsync(TakenInTurn.Answering(Good));
        _node = new NodesResolverClient(_sidecar.Uri, _time, _logger);
    }

    public Task DisposeAsync() => _sidecar.DisposeAsync().AsTask();

    public void Dispose() => _node.Dispose();

    [Fact]
    public async Task What_the_sidecar_says_is_in_the_way_is_logged_in_one_line()
    {
        _sidecar.Replicas = [TakenInTurn.Answering(
            Encoding.UTF8.GetBytes($"access control policy\nhas denied access{new string('.', 1000)}"), StatusCodes.Status403Forbidden, "text/plain; charset=none")];

        Assert.Null(await AskAsync());

        var warning = Assert.Single(_logger.Warnings);
        Assert.Contains("403 access control policy has denied access", warning, StringComparison.Ordinal);
        Assert.True(warning.Length < 700, warning);
    }

    [Fact]
    public async Task A_question_on_time_is_asked_once()
    {
        Assert.NotNull(await AskAsync());
        Assert.Equal(1, _sidecar.Count);
    }

    [Fact]
    public async Task What_one_replica_leaves_without_an_answer_the_next_answers_and_the_first_is_hung_up()
    {
        _sidecar.Replicas = [TakenInTurn.HangAsync, TakenInTurn.Answering(Good)];

        await AskLateAsync();

        Assert.Equal(2, _sidecar.Count);
        await _sidecar.HungUpAsync();
    }

    [Fact]
    public async Task After_a_late_answer_two_are_asked_at_once_and_one_again_after_ten_seconds()
    {
        _sidecar.Replicas = [TakenInTurn.HangAsync, TakenInTurn.Answering(Good)];
        await AskLateAsync();

        // No time passes, so none is waited for.
        for (var i = 0; i < 40; i++)
        {
            Assert.NotNull(await AskAsync());
        }

        Assert.Equal(2 + (40 * 2), _sidecar.Count);
        Assert.Single(_logger.Warnings);

        _time.Advance(TimeSpan.FromSeconds(10));
        _sidecar.Replicas = [TakenInTurn.Answering(Good)];
        Assert.NotNull(await AskAsync());
        Assert.Equal(2 + (40 * 2) + 1, _sidecar.Count);
    }

    [Fact]
    public async Task Resolvers_that_are_all_slow_are_hardly_asked_again()
    {
        _sidecar.Replicas =
        [
            async context =>
            {
                await Task.Delay(3.5 * Late, _time, context.RequestAborted);
                await TakenInTurn.Answering(Good)(context);
            },
        ];

        for (var i = 0; i < 200; i++)
        {
            Assert.NotNull(await _time.RunAsync(AskAsync()));
        }

        Assert.InRange(_sidecar.Count, 200, 200 + RepetitionBudget.Most + (200 / 10));
        Assert.Empty(_logger.Warnings);
    }

    [Fact]
    public async Task Resolvers_that_all_answer_with_errors_are_hardly_asked_again()
    {
        _sidecar.Replicas = [TakenInTurn.Answering([], StatusCodes.Status500InternalServerError)];

        for (var i = 0; i < 100; i++)
        {
            Assert.Null(await AskAsync());
            _time.Advance(TimeSpan.FromSeconds(3));
        }

        Assert.InRange(_sidecar.Count, 100, 100 + RepetitionBudget.Most + (100 / 10));
    }

    [Fact]
    public async Task An_error_and_what_is_no_answer_are_asked_again_at_once()
    {
        _sidecar.Replicas =
        [
            TakenInTurn.Answering([], StatusCodes.Status500InternalServerError),
            TakenInTurn.Answering("{}"u8.ToArray()),
            context =>
            {
                context.Abort();
                return Task.CompletedTask;
            },
            TakenInTurn.Answering(Good),
        ];

        Assert.NotNull(await AskAsync());
        Assert.Equal(4, _sidecar.Count);
    }

    [Fact]
    public async Task With_every_replica_hanging_a_question_is_given_up_within_its_budget_and_soon_none_is_asked()
    {
        _sidecar.Replicas = [TakenInTurn.HangAsync];
        var began = _time.GetUtcNow();
        for (var i = 0; i < 3; i++)
        {
            Assert.Null(await _time.RunAsync(AskAsync()));
        }

        Assert.InRange(_time.GetUtcNow() - began, 3 * Budget, 4 * Budget);
        var asked = _sidecar.Count;
        Assert.InRange(asked, 3, 3 * 4);
        for (var i = 0; i < asked; i++)
        {
            await _sidecar.HungUpAsync();
        }

        Assert.Null(await AskAsync());
        Assert.Equal(asked, _sidecar.Count);

        _sidecar.Replicas = [TakenInTurn.Answering(Good)];
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.NotNull(await AskAsync());
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("[]")]
    [InlineData("0")]
    [InlineData("\"text\"")]
    [InlineData("""{"errorCode":"ERR_DIRECT_INVOKE","message":"fail to invoke"}""")]
    [InlineData("""{"status":503,"detail":"The state store does not answer."}""")]
    [InlineData("""{"keys":null,"asked":null,"digest":null,"depth":0,"nodes":null}""")]
    [InlineData("""{"keys":[],"asked":"eu/a/node-c","digest":"sha256:0","depth":0,"nodes":[]}""")]
    [InlineData("""{"keys":[null,null],"asked":"eu/a","depth":0,"nodes":[null]}""")]
    [InlineData("""{"node":{"name":"node-b","location":"eu/a","address":"http://10.0.0.2:5000"},"depth":0,"nodes":[]}""")]
    public async Task What_is_no_answer_to_any_question_counts_as_none(string body)
    {
        _sidecar.Replicas = [TakenInTurn.Answering(Encoding.UTF8.GetBytes(body))];

        await AssertNoneAsync();
    }

    [Fact]
    public async Task The_answers_to_other_questions_count_as_none()
    {
        var other = Digest.OfSha256([2]);
        object[] others =
        [
            new ResolveAnswer([new ResolvedKey(other, []), new ResolvedKey(Tag, [])]),
            new ResolveAnswer([.. Resolved.Keys.Reverse()]),
            new ResolveAnswer([.. Resolved.Keys, new ResolvedKey(other, [])]),
            new NodeAnswer(Claim with { Name = NodeName.Parse("node-c") }),
            new NodeAnswer(Claim, Holder with { Name = NodeName.Parse("node-c") }),
            new FollowAnswer(other, 0),
            new FollowAnswer(Layer, 0, Holder),
            new FollowAnswer(Layer, 1),
            new FollowAnswer(Layer, -1, Holder),
            new InFlightAnswer(other, []),
        ];
        foreach (var answer in others)
        {
            // An answer to one kind of question is none to the others, so each may get the same body.
            _sidecar.Replicas = [TakenInTurn.Answering(JsonSerializer.SerializeToUtf8Bytes(answer, answer.GetType(), ContractsJson.Default))];
            Assert.Null(await AskAsync());
            Assert.Null(await Client.FindAsync(Claim, CancellationToken.None));
            Assert.Null(answer is InFlightAnswer ? null : await Client.FindInFlightAsync(Layer, CancellationToken.None));
            Assert.Null(await Client.FollowAsync(Layer, [], [], [], slow: null, order: null, CancellationToken.None));
            _time.Advance(TimeSpan.FromMinutes(1));
        }
    }

    [Theory]
    [InlineData("""{"keys":[{"holders":null}]}""")]
    [InlineData("""{"keys":[{"holders":[null]}]}""")]
    [InlineData("""{"keys":[{"holders":[{"node":null}]}]}""")]
    [InlineData("""{"keys":[{"holders":[{"tier":"none"}]}]}""")]
    [InlineData("""{"keys":[{"holders":[{"tier":1}]}]}""")]
    [InlineData("""{"keys":[{"holders":[{"node":{"name":"No Node"}}]}]}""")]
    [InlineData("""{"keys":[{"holders":[{"node":{"address":"http://10.0.0.2:5000/path"}}]}]}""")]
    [InlineData("""{"keys":[{"digest":"sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"}]}""")]
    [InlineData("""{"keys":[{},{"digest":null}]}""")]
    [InlineData("""{"keys":[{},{"digest":"none"}]}""")]
    public async Task An_answer_of_which_a_part_is_wrong_counts_as_none(string change)
    {
        var answer = JsonNode.Parse(Good)!;
        Merge(answer, JsonNode.Parse(change)!);
        _sidecar.Replicas = [TakenInTurn.Answering(Encoding.UTF8.GetBytes(answer.ToJsonString()))];

        Assert.Null(await AskAsync());
    }

    [Fact]
    public async Task Too_many_holders_count_as_none()
    {
        foreach (var (count, isGood) in new[] { (ResolvedKey.MaxHolders, true), (ResolvedKey.MaxHolders + 1, false) })
        {
            var answer = new ResolveAnswer([new ResolvedKey(Layer, [.. Enumerable.Repeat(Resolved.Keys[0].Holders[0], count)]), Resolved.Keys[1]]);
            _sidecar.Replicas = [TakenInTurn.Answering(JsonSerializer.SerializeToUtf8Bytes(answer, ContractsJson.Default.ResolveAnswer))];

            Assert.Equal(isGood, await AskAsync() is not null);
        }
    }

    [Property(MaxTest = 100)]
    public async Task Whatever_bytes_come_under_whatever_status_none_is_an_answer_and_nothing_is_thrown(byte[] bytes, byte status)
    {
        int[] statuses = [200, 200, 200, 201, 206, 299, 301, 307, 400, 404, 500, 503];
        _sidecar.Replicas = [TakenInTurn.Answering(bytes ?? [], statuses[status % statuses.Length], status % 2 == 0 ? "application/json" : "x; charset=\"?\"")];

        await AssertNoneAsync();
    }

    [Property(MaxTest = 100)]
    public async Task An_answer_that_is_garbled_somewhere_is_none_or_one_to_the_question(byte[] garbage, ushort at, bool isCut)
    {
        var body = (byte[])Good.Clone();
        var from = at % body.Length;
        foreach (var (i, value) in (garbage ?? []).Take(body.Length - from).Index())
        {
            body[from + i] = value;
        }

        _sidecar.Replicas = [TakenInTurn.Answering(isCut ? body[..from] : body)];

        var answer = await AskAsync();

        Assert.True(answer is null || answer.Select(key => key.Key).SequenceEqual(Keys));
        _time.Advance(TimeSpan.FromMinutes(1));
    }

    private static void Merge(JsonNode target, JsonNode change)
    {
        foreach (var (name, value) in change is JsonObject members ? members.Select(one => (Name: (object)one.Key, one.Value)).ToList()
            : ((JsonArray)change).Select((value, i) => (Name: (object)i, Value: value)).ToList())
        {
            var existing = name is string member ? target[member] : target[(int)name];
            if (value is JsonObject or JsonArray && existing is not null)
            {
                Merge(existing, value);
            }
            else if (name is string member2)
            {
                target[member2] = value?.DeepClone();
            }
            else
            {
                target[(int)name] = value?.DeepClone();
            }
        }
    }

    private async Task<IReadOnlyList<ResolvedKey>?> AskAsync() => (await Client.ResolveAsync(Keys, CancellationToken.None))?.Keys;

    /// <summary>Asks a question of which the first replica is late.</summary>
    private async Task AskLateAsync()
    {
        var asking = AskAsync();
        await _sidecar.CalledAsync();
        Assert.False(asking.IsCompleted);
        _time.Advance(Late);
        Assert.NotNull(await asking);
    }

    /// <summary>Asks each kind of question, between which the client forgets that the one before has failed.</summary>
    private async Task AssertNoneAsync()
    {
        Assert.Null(await AskAsync());
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.Null(await Client.FindAsync(Claim, CancellationToken.None));
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.Null(await Client.FollowAsync(Layer, [], [], [], slow: null, order: null, CancellationToken.None));
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.Null(await Client.FindInFlightAsync(Layer, CancellationToken.None));
        _time.Advance(TimeSpan.FromMinutes(1));
    }
}
