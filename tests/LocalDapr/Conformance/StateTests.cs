using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Dapr.Client;
using SpegelDapr.LocalDapr.Tests.Support;

namespace SpegelDapr.LocalDapr.Tests.Conformance;

public sealed class StateTests
{
    private static readonly StateOptions FirstWrite = new() { Concurrency = ConcurrencyMode.FirstWrite };

    [Theory]
    [OnMemory]
    [OnRedis]
    public async Task What_is_saved_over_HTTP_is_read_over_gRPC_and_back(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("app");

        Assert.Equal(HttpStatusCode.NoContent, (await app.SaveAsync("store", new { key = "a", value = new { n = 1 } })).StatusCode);
        var (value, etag) = await app.Dapr.GetStateAndETagAsync<JsonElement>("store", "a");
        Assert.Equal(1, value.GetProperty("n").GetInt32());

        var answer = await app.Http.GetAsync("/v1.0/state/store/a");
        Assert.Equal("""{"n":1}""", await answer.Content.ReadAsStringAsync());
        Assert.Equal(etag, answer.Headers.NonValidated["ETag"].ToString());
        await app.Dapr.DeleteStateAsync("store", "a");
        Assert.Equal(HttpStatusCode.NoContent, (await app.Http.GetAsync("/v1.0/state/store/a")).StatusCode);
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    public async Task A_write_with_an_old_version_is_a_conflict(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("app");
        await app.Dapr.SaveStateAsync("store", "a", 1);
        var (_, etag) = await app.Dapr.GetStateAndETagAsync<int>("store", "a");

        Assert.True(await app.Dapr.TrySaveStateAsync("store", "a", 2, etag, FirstWrite));
        Assert.False(await app.Dapr.TrySaveStateAsync("store", "a", 3, etag, FirstWrite));
        Assert.False(await app.Dapr.TryDeleteStateAsync("store", "a", etag));
        var answer = await app.SaveAsync("store", new { key = "a", value = 3, etag, options = new { concurrency = "first-write" } });

        Assert.Equal((HttpStatusCode.Conflict, "ERR_STATE_SAVE"), (answer.StatusCode, await Runtime.ErrorCodeAsync(answer)));
        Assert.Equal(2, await app.Dapr.GetStateAsync<int>("store", "a"));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    public async Task A_first_write_without_a_version_creates_a_key_once(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("app");
        Task<HttpResponseMessage> CreateAsync(int value) => app.SaveAsync("store", new { key = "a", value, options = new { concurrency = "first-write" } });

        Assert.True((await CreateAsync(1)).IsSuccessStatusCode);
        var answer = await CreateAsync(2);

        // Redis tells it as an error, since there was no version that could be in conflict.
        Assert.Equal(backend == Backend.Redis ? HttpStatusCode.InternalServerError : HttpStatusCode.Conflict, answer.StatusCode);
        Assert.Equal(1, await app.Dapr.GetStateAsync<int>("store", "a"));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    public async Task A_bulk_get_answers_every_key(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("app");
        await app.SaveAsync("store", new { key = "a", value = 1 }, new { key = "b", value = "two" });

        var items = await app.Dapr.GetBulkStateAsync("store", ["a", "b", "absent"], parallelism: null);
        Assert.Equal(["1", "\"two\"", ""], items.Select(item => item.Value));
        Assert.Equal([true, true, false], items.Select(item => item.ETag.Length > 0));

        List<string> keys = ["b", "absent"];
        var answer = await app.Http.PostAsJsonAsync("/v1.0/state/store/bulk", new { keys });
        var json = await answer.Content.ReadFromJsonAsync<List<JsonElement>>();
        Assert.Equal("two", json![0].GetProperty("data").GetString());
        Assert.False(json[1].TryGetProperty("data", out _));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    public async Task A_bulk_save_with_one_conflict_is_a_conflict_and_saves_the_others(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("app");
        await app.SaveAsync("store", new { key = "a", value = 1 });

        var answer = await app.SaveAsync(
            "store", new { key = "a", value = 2, etag = "77", options = new { concurrency = "first-write" } }, new { key = "b", value = 2 });

        Assert.Equal(HttpStatusCode.Conflict, answer.StatusCode);
        Assert.Equal(1, await app.Dapr.GetStateAsync<int>("store", "a"));
        Assert.Equal(2, await app.Dapr.GetStateAsync<int>("store", "b"));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    public async Task A_transaction_sets_and_deletes(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("app");
        await app.SaveAsync("store", new { key = "old", value = 1 });

        await app.Dapr.ExecuteStateTransactionAsync("store",
        [
            new StateTransactionRequest("new", "2"u8.ToArray(), StateOperationType.Upsert),
            new StateTransactionRequest("old", null, StateOperationType.Delete),
        ]);

        Assert.Equal(2, await app.Dapr.GetStateAsync<int>("store", "new"));
        Assert.Equal(0, await app.Dapr.GetStateAsync<int>("store", "old"));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    public async Task A_transaction_with_a_conflict_fails(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("app");
        await app.SaveAsync("store", new { key = "a", value = 1 });

        var answer = await app.Http.PostAsJsonAsync("/v1.0/state/store/transaction", new
        {
            operations = new object[] { new { operation = "upsert", request = new { key = "a", value = 2, etag = "77" } } },
        });

        Assert.Equal((HttpStatusCode.InternalServerError, "ERR_STATE_TRANSACTION"), (answer.StatusCode, await Runtime.ErrorCodeAsync(answer)));
        Assert.Equal(1, await app.Dapr.GetStateAsync<int>("store", "a"));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    public async Task A_key_with_a_time_to_live_goes_away(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        var app = await runtime.StartAppAsync("app");

        await app.SaveAsync("store", new { key = "short", value = 1, metadata = new { ttlInSeconds = "1" } }, new { key = "long", value = 2 });

        Assert.Equal(HttpStatusCode.OK, (await app.Http.GetAsync("/v1.0/state/store/short")).StatusCode);
        await Eventually.TrueAsync(async () => (await app.Http.GetAsync("/v1.0/state/store/short")).StatusCode == HttpStatusCode.NoContent);
        Assert.Equal(HttpStatusCode.OK, (await app.Http.GetAsync("/v1.0/state/store/long")).StatusCode);
    }

    [Theory]
    [OnMemory(shared: true)]
    [OnRedis]
    public async Task Apps_have_keys_of_their_own_unless_the_component_says_otherwise(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.AddStateStore("shared", "- { name: keyPrefix, value: none }");
        var first = await runtime.StartAppAsync("first");
        var second = await runtime.StartAppAsync("second");

        await first.SaveAsync("store", new { key = "a", value = 1 });
        await first.SaveAsync("shared", new { key = "b", value = 1 });

        Assert.Equal(0, await second.Dapr.GetStateAsync<int>("store", "a"));
        Assert.Equal(1, await second.Dapr.GetStateAsync<int>("shared", "b"));
    }

    [Theory]
    [OnMemory]
    [OnRedis]
    public async Task Wrong_requests_are_refused_with_the_error_codes_of_Dapr(Backend backend)
    {
        await using var runtime = await Runtime.StartAsync(backend);
        runtime.AddStateStore("theirs", scopes: "scopes: [somebody-else]");
        var app = await runtime.StartAppAsync("app");

        async Task AssertAsync(HttpStatusCode status, string code, HttpResponseMessage answer) =>
            Assert.Equal((status, code), (answer.StatusCode, await Runtime.ErrorCodeAsync(answer)));

        await AssertAsync(HttpStatusCode.BadRequest, "ERR_STATE_STORE_NOT_FOUND", await app.Http.GetAsync("/v1.0/state/absent/a"));
        await AssertAsync(HttpStatusCode.BadRequest, "ERR_STATE_STORE_NOT_FOUND", await app.Http.GetAsync("/v1.0/state/theirs/a"));
        await AssertAsync(HttpStatusCode.BadRequest, "ERR_MALFORMED_REQUEST", await app.SaveAsync("store", new { key = "a||b", value = 1 }));
        await AssertAsync(HttpStatusCode.BadRequest, "ERR_MALFORMED_REQUEST", await app.SaveAsync("store", new { value = 1 }));
        await AssertAsync(
            HttpStatusCode.InternalServerError, "ERR_STATE_SAVE", await app.SaveAsync("store", new { key = "a", value = 1, options = new { concurrency = "odd" } }));
        using var garbage = new StringContent("{");
        await AssertAsync(HttpStatusCode.BadRequest, "ERR_MALFORMED_REQUEST", await app.Http.PostAsync("/v1.0/state/store", garbage));
    }
}
