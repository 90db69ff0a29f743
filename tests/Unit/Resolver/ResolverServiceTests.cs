using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Dapr.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using SpegelDapr.Contracts;
using SpegelDapr.LocalDapr;
using SpegelDapr.Resolver;
using SpegelDapr.Resolver.Store;
using SpegelDapr.Resolver.Subscribing;
using SpegelDapr.Unit.Blob;
using SpegelDapr.Unit.Kubernetes;

namespace SpegelDapr.Unit.Resolver;

/// <summary>The resolver over HTTP, as its sidecar speaks to it.</summary>
public sealed class ResolverServiceTests : IAsyncLifetime, IDisposable
{
    private const string Subscriptions =
        """[{"pubsubname":"layer-events","topic":"layers.eu.a","route":"/v1/events/eu/a"},{"pubsubname":"layer-events","topic":"layers.eu.b","route":"/v1/events/eu/b"},{"pubsubname":"layer-events","topic":"layers.eu.a.wishes","route":"/v1/wishes"}]""";

    private static readonly ContentKey Layer = ContentKey.FromDigest(Digest.OfSha256([1]));
    private static readonly NodeIdentity Node = new(NodeName.Parse("node-b"), Location.Parse("eu/b"), BlobAddress.Parse("http://10.0.0.2:5000"));

    private readonly MemoryHolderStore _store = new(TimeProvider.System);
    private HttpClient _http = new();
    private TimeProvider _time = TimeProvider.System;
    private CollectingLoggerProvider? _log;
    private WebApplication? _app;
    private FakeSidecar? _sidecar;

    public Task InitializeAsync() => StartAsync();

    public void Dispose() => _http.Dispose();

    public async Task DisposeAsync()
    {
        if (_app is not null)
        {
            await _app.DisposeAsync();
        }
    }

    [Fact]
    public async Task It_subscribes_to_the_topics_in_its_reach_on_a_route_each() =>
        Assert.Equal(Subscriptions, await _http.GetStringAsync("/dapr/subscribe"));

    [Theory]
    [InlineData(true, "layers.eu.b", """[{"pubsubname":"layer-events","topic":"layers.eu.a.wishes","route":"/v1/wishes"}]""")]
    [InlineData(true, null, Subscriptions)]
    [InlineData(false, "layers.eu.b", Subscriptions)]
    public async Task Where_resources_say_what_a_sidecar_with_hot_reload_hears_it_is_told_no_location(bool hotReloads, string? declared, string expected)
    {
        await DisposeAppAsync();
        _sidecar = new FakeSidecar { Declared = declared is null ? [] : [declared], HotReloads = hotReloads };
        await StartAsync();

        Assert.Equal(expected, await _http.GetStringAsync("/dapr/subscribe"));
    }

    [Fact]
    public async Task A_node_of_another_zone_in_reach_is_found_as_soon_as_it_has_said_what_it_holds()
    {
        Assert.Equal("SUCCESS", await DeliverAsync("/v1/events/eu/b", Snapshot(Layer)));

        var answer = await ResolveAsync(Layer, ContentKey.Parse("docker.io/library/nobody:1"));

        Assert.Equal(new Holder(Node, Tier.SameRegion), Assert.Single(answer.Keys[0].Holders));
        Assert.Empty(answer.Keys[1].Holders);
    }

    [Fact]
    public async Task A_zone_that_is_seen_while_it_runs_is_subscribed_to_and_offered_until_it_is_gone()
    {
        var far = Node with { Location = Location.Parse("us/x") };
        await DisposeAppAsync();
        await StartAsync(("Resolver:Reach:0", "*"), ("Resolver:Reach:1", "*"));
        var reach = _app!.Services.GetRequiredService<Reach>();
        Assert.Equal("DROP", await DeliverAsync("/v1/events/us/x", Snapshot(Layer) with { Node = far }));
        Assert.Empty((await ResolveAsync(Layer)).Keys[0].Holders);

        reach.Seen([far.Location]);

        Assert.Contains(""""topic":"layers.us.x","route":"/v1/events/us/x"}"""", await _http.GetStringAsync("/dapr/subscribe"), StringComparison.Ordinal);
        Assert.Equal("DROP", await DeliverAsync("/v1/events/us/x", Snapshot(Layer)));
        Assert.Equal("SUCCESS", await DeliverAsync("/v1/events/us/x", Snapshot(Layer) with { Node = far }));
        Assert.Equal(new Holder(far, Tier.CrossRegion), Assert.Single((await ResolveAsync(Layer)).Keys[0].Holders));

        reach.Seen([]);

        Assert.DoesNotContain("us", await _http.GetStringAsync("/dapr/subscribe"), StringComparison.Ordinal);
        Assert.Equal("DROP", await DeliverAsync("/v1/events/us/x", Snapshot(Layer) with { Node = far }));
        Assert.Empty((await ResolveAsync(Layer)).Keys[0].Holders);
    }

    [Fact]
    public async Task The_sidecar_is_answered_only_when_the_nodes_have_been_seen()
    {
        await DisposeAppAsync();
        await StartAsync(("Resolver:Reach:0", "*"), ("Resolver:Reach:1", "*"));

        var answer = _http.GetStringAsync("/dapr/subscribe");
        Assert.NotSame(answer, await Task.WhenAny(answer, Task.Delay(TimeSpan.FromMilliseconds(200))));
        _app!.Services.GetRequiredService<Reach>().Seen([Node.Location]);

        Assert.Equal(Subscriptions, await answer);
    }

    [Fact]
    public async Task When_the_nodes_stay_unseen_the_sidecar_is_told_what_is_configured()
    {
        await DisposeAppAsync();
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        _time = time;
        await StartAsync(("Resolver:Reach:0", "*"));

        Assert.Equal(Subscriptions, await time.RunAsync(_http.GetStringAsync("/dapr/subscribe")));
    }

    [Fact]
    public async Task A_sidecar_that_delivers_nothing_of_the_nodes_that_ask_is_restarted()
    {
        await DisposeAppAsync();
        var time = new FakeTimeProvider(DateTimeOffset.UtcNow);
        (_time, _sidecar) = (time, new FakeSidecar { Declared = ["layers.eu.a"] });
        await StartAsync();
        var question = new HearingRequest(Node.Name, Location.Parse("eu/a"), 1, 1, default);

        for (var i = 0; i < 200 && _sidecar.Restarts == 0; i++)
        {
            using var response = await _http.PostAsJsonAsync(HearingRequest.Method, question, ContractsJson.Default.HearingRequest);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
            time.Advance(TimeSpan.FromSeconds(10));
            await Task.Delay(5);
        }

        Assert.Equal(1, _sidecar.Restarts);
    }

    [Fact]
    public async Task An_event_on_no_location_is_not_found() =>
        Assert.Equal(HttpStatusCode.NotFound, (await _http.PostAsync("/v1/events/eu/No", content: null)).StatusCode);

    [Fact]
    public async Task An_event_for_another_zone_than_its_topics_is_dropped() =>
        Assert.Equal("DROP", await DeliverAsync("/v1/events/eu/a", Snapshot(Layer)));

    [Fact]
    public async Task An_event_that_is_too_large_is_dropped_and_not_delivered_for_ever()
    {
        using var body = new StringContent(new string(' ', 200 * 1024));
        var response = await _http.PostAsync("/v1/events/eu/a", body);

        Assert.Equal("""{"status":"DROP"}""", await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task While_the_store_is_down_questions_are_refused_and_afterwards_answered()
    {
        await DeliverAsync("/v1/events/eu/b", Snapshot(Layer));

        // Of several reads one may fail, without a break in which none is tried.
        for (byte i = 0; i < 3; i++)
        {
            await ResolveAsync(ContentKey.FromDigest(Digest.OfSha256([i])));
        }

        _store.IsDown = true;

        var unknown = await PostAsync(JsonSerializer.Serialize(Question(ContentKey.FromDigest(Digest.OfSha256([9]))), ContractsJson.Default.ResolveRequest));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, unknown.StatusCode);
        Assert.Equal("application/problem+json", unknown.Content.Headers.ContentType?.MediaType);

        _store.IsDown = false;
        Assert.Single((await ResolveAsync(Layer)).Keys[0].Holders);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("""{"node":"node-a","location":"eu/a"}""")]
    [InlineData("""{"node":"node-a","location":"eu/a","keys":null}""")]
    [InlineData("""{"node":"node-a","location":"eu/a","keys":[null]}""")]
    [InlineData("""{"node":"node-a","location":"eu/a","keys":["sha256:../x"]}""")]
    [InlineData("""{"node":"Node A","location":"eu/a","keys":[]}""")]
    [InlineData("""{"node":"node-a","location":"eu","keys":[]}""")]
    public async Task A_bad_question_gets_400_and_one_line_that_says_why(string body)
    {
        var response = await PostAsync(body);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        var detail = (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("detail").GetString()!;
        Assert.NotEmpty(detail);
        Assert.DoesNotContain('\n', detail);
    }

    [Fact]
    public async Task Too_many_keys_get_400()
    {
        var keys = Enumerable.Range(0, ResolveRequest.MaxKeys + 1).Select(i => ContentKey.FromDigest(Digest.OfSha256(BitConverter.GetBytes(i)))).ToArray();

        Assert.Equal(HttpStatusCode.BadRequest, (await PostAsync(JsonSerializer.Serialize(Question(keys), ContractsJson.Default.ResolveRequest))).StatusCode);
        Assert.Equal(ResolveRequest.MaxKeys, (await ResolveAsync(keys[1..])).Keys.Count);
    }

    [Fact]
    public async Task It_is_alive_but_not_ready_before_its_sidecar_is_there()
    {
        var telemetry = new Uri(_app!.Configuration["Telemetry:Url"]!);

        Assert.Equal(HttpStatusCode.OK, (await _http.GetAsync(new Uri(telemetry, "/healthz"))).StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await _http.GetAsync(new Uri(telemetry, "/readyz"))).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await _http.GetAsync("/metrics")).StatusCode);
    }

    [Fact]
    public async Task The_wait_for_the_sidecar_is_two_lines_of_the_log_and_the_reason_in_what_a_probe_reads()
    {
        await DisposeAppAsync();
        using var log = new CollectingLoggerProvider();
        _log = log;
        await StartAsync(("Resolver:Reach:0", "*"), ("Logging:LogLevel:Default", "Information"));
        _app!.Services.GetRequiredService<Reach>().Seen([Node.Location]);
        var (ready, port) = (new Uri(new Uri(_app.Configuration["Telemetry:Url"]!), "/readyz"), new Uri(_app.Configuration["DAPR_GRPC_ENDPOINT"]!).Port);
        await UntilAsync(async () => (await ReadyAsync()).Body.Contains("no Dapr sidecar answers", StringComparison.Ordinal));
        Assert.Equal($"Unhealthy\nstore: no Dapr sidecar answers at 127.0.0.1:{port}: start it, or give its port as DAPR_GRPC_PORT\n", (await ReadyAsync()).Body);

        // Longer than between two attempts, and two looks at the subscriptions.
        await Task.Delay(Resubscription.CheckInterval + TimeSpan.FromSeconds(1));
        await using var dapr = new LocalDaprHost();
        await dapr.StartAsync(new AppSpec(DaprNames.Resolver("a")) { GrpcPort = port, ResourcesPaths = [Path.Combine(AppContext.BaseDirectory, "components", "in-memory")] });
        await UntilAsync(async () => (await ReadyAsync()).Status == HttpStatusCode.OK);

        Assert.Single(log.Lines, line => line.Contains("no Dapr sidecar answers", StringComparison.Ordinal));
        Assert.Single(log.Lines, line => line.StartsWith("The Dapr sidecar is up, after ", StringComparison.Ordinal));
        Assert.DoesNotContain(log.Lines, line => line.Contains("Health check", StringComparison.Ordinal) || line.StartsWith("Whether the sidecar", StringComparison.Ordinal));

        async Task<(HttpStatusCode Status, string Body)> ReadyAsync()
        {
            using var response = await _http.GetAsync(ready);
            return (response.StatusCode, await response.Content.ReadAsStringAsync());
        }
    }

    [Fact]
    public async Task With_a_token_set_only_the_sidecar_is_answered()
    {
        await DisposeAppAsync();
        await StartAsync(("APP_API_TOKEN", "secret"));

        Assert.Equal(HttpStatusCode.Unauthorized, (await _http.GetAsync("/dapr/subscribe")).StatusCode);
        _http.DefaultRequestHeaders.Add("dapr-api-token", "secret");
        Assert.Equal(Subscriptions, await _http.GetStringAsync("/dapr/subscribe"));
    }

    [Fact]
    public async Task With_Kubernetes_a_node_that_is_not_ready_is_no_longer_offered()
    {
        await using var kubernetes = await FakeApiServer.StartAsync();
        kubernetes.Put("node-b", "eu", "b");
        await DisposeAppAsync();
        await StartAsync(("Kubernetes:Enabled", "true"), ("Kubernetes:Kubeconfig", kubernetes.Kubeconfig));
        await DeliverAsync("/v1/events/eu/b", Snapshot(Layer));
        Assert.Single((await ResolveAsync(Layer)).Keys[0].Holders);

        kubernetes.Put("node-b", "eu", "b", "False");

        for (var deadline = DateTime.UtcNow.AddSeconds(20); (await ResolveAsync(Layer)).Keys[0].Holders.Count > 0; await Task.Delay(20))
        {
            Assert.True(DateTime.UtcNow < deadline, "The node is still offered.");
        }
    }

    [Fact]
    public async Task With_Kubernetes_the_zone_of_a_new_node_comes_into_reach_unless_it_is_outside_the_boundary()
    {
        await using var kubernetes = await FakeApiServer.StartAsync();
        kubernetes.Put("node-b", "eu", "b");
        await DisposeAppAsync();
        await StartAsync(
            ("Resolver:Reach:0", "*"),
            ("Resolver:Reach:1", "*"),
            ("Zones:Mode", "isolated"),
            ("Zones:Boundary", "region"),
            ("Kubernetes:Enabled", "true"),
            ("Kubernetes:Kubeconfig", kubernetes.Kubeconfig));
        Assert.Equal(Subscriptions, await _http.GetStringAsync("/dapr/subscribe"));
        var changed = _app!.Services.GetRequiredService<Reach>().Changed;

        kubernetes.Put("node-x", "us", "x");
        kubernetes.Put("node-c", "eu", "c");

        await changed.WaitAsync(TimeSpan.FromSeconds(20));
        var subscriptions = await _http.GetStringAsync("/dapr/subscribe");
        Assert.Contains("layers.eu.c", subscriptions, StringComparison.Ordinal);
        Assert.DoesNotContain("layers.us.x", subscriptions, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Where_nothing_crosses_zones_no_wishes_are_heard()
    {
        await DisposeAppAsync();
        await StartAsync(("Zones:Mode", "isolated"));

        Assert.Equal("""[{"pubsubname":"layer-events","topic":"layers.eu.a","route":"/v1/events/eu/a"}]""", await _http.GetStringAsync("/dapr/subscribe"));
    }

    [Fact]
    public async Task A_node_is_told_what_has_been_heard_of_it()
    {
        var node = Node with { Location = Location.Parse("eu/a") };
        var snapshot = Snapshot(Layer) with { Node = node };
        var question = new HearingRequest(node.Name, node.Location, snapshot.Epoch, snapshot.Sequence, ContentSummary.Of(snapshot.Keys));
        Assert.Equal("""{"heard":"unknown"}""", await HearAsync(question));

        await DeliverAsync("/v1/events/eu/a", snapshot);

        Assert.Equal("""{"heard":"matches"}""", await HearAsync(question));
        Assert.Equal("""{"heard":"behind"}""", await HearAsync(question with { Sequence = 2 }));
        Assert.Equal("""{"heard":"differs"}""", await HearAsync(question with { Summary = default }));
        var writes = _store.Writes;

        // A wish changes the answer; what asks changes nothing.
        using var wish = new StringContent(JsonSerializer.Serialize(
            new CloudEvent(
                SnapshotWish.EventType,
                "layers.eu.a.wishes",
                JsonSerializer.SerializeToElement(
                    new SnapshotWish(node.Name, snapshot.Epoch, DateTimeOffset.UtcNow.AddMinutes(1)), ContractsJson.Default.SnapshotWish)),
            ContractsJson.Default.CloudEvent));
        using var heard = await _http.PostAsync("/v1/wishes", wish);
        Assert.Equal("""{"status":"SUCCESS"}""", await heard.Content.ReadAsStringAsync());
        Assert.Equal("""{"heard":"differs"}""", await HearAsync(question));
        Assert.Equal(writes + 1, _store.Writes);

        _store.IsDown = true;
        using var refused = await PostAsync(JsonSerializer.Serialize(question, ContractsJson.Default.HearingRequest), HearingRequest.Method);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);

        async Task<string> HearAsync(HearingRequest asked)
        {
            using var response = await PostAsync(JsonSerializer.Serialize(asked, ContractsJson.Default.HearingRequest), HearingRequest.Method);
            return await response.Content.ReadAsStringAsync();
        }
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("""{"node":"node-b","location":"eu/a","epoch":1,"sequence":1}""")]
    [InlineData("""{"node":"node-b","location":"eu/b","epoch":1,"sequence":1,"summary":{"count":0,"checksum":0}}""")]
    [InlineData("""{"node":"Node B","location":"eu/a","epoch":1,"sequence":1,"summary":{"count":0,"checksum":0}}""")]
    public async Task A_bad_question_what_has_been_heard_gets_400(string body)
    {
        using var response = await PostAsync(body, HearingRequest.Method);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("""{"type":"dev.spegel-dapr.layers.wish.v1","topic":"layers.eu.a.wishes","data":{"node":"node-b"}}""")]
    [InlineData("""{"type":"dev.spegel-dapr.layers.wish.v2","topic":"layers.eu.a.wishes","data":{"node":"node-b","epoch":1,"at":"2026-01-05T00:00:00Z"}}""")]
    public async Task A_bad_wish_is_dropped(string body)
    {
        using var content = new StringContent(body);
        using var response = await _http.PostAsync("/v1/wishes", content);

        Assert.Equal("""{"status":"DROP"}""", await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task The_first_node_that_asks_leads_and_the_next_one_follows_it()
    {
        var leader = Node with { Location = Location.Parse("eu/a") };
        await DeliverAsync("/v1/events/eu/a", Snapshot() with { Node = leader });

        AssertTold(0, null, await FollowAsync("node-b"));
        AssertTold(1, leader, await FollowAsync("node-c"));
        var inFlight = await InFlightAsync($"eu/a/{Layer}");

        Assert.Equal(
            [(leader.Name, null), (NodeName.Parse("node-c"), leader.Name)],
            inFlight.Nodes.Select(node => (node.Node, node.Parent)));
        Assert.All(inFlight.Nodes, node => Assert.InRange(node.Since, DateTimeOffset.UtcNow.AddMinutes(-5), DateTimeOffset.UtcNow.AddMinutes(5)));
    }

    [Fact]
    public async Task Who_is_about_to_fetch_is_told_in_the_same_answer_who_holds_it_and_whom_to_follow()
    {
        var leader = Node with { Location = Location.Parse("eu/a") };
        var far = Node with { Name = NodeName.Parse("node-far") };
        await DeliverAsync("/v1/events/eu/a", Snapshot() with { Node = leader });
        await DeliverAsync("/v1/events/eu/b", Snapshot(Layer) with { Node = far });

        var (first, second) = (await FetchAsync(leader.Name.ToString(), isLarge: false), await FetchAsync("node-c", isLarge: false));

        AssertTold(0, null, first.Follow);
        AssertTold(1, leader, second.Follow);
        Assert.Equal([far, far], first.Keys.Concat(second.Keys).SelectMany(key => key.Holders).Select(holder => holder.Node));
    }

    [Fact]
    public async Task One_that_says_that_its_link_is_slow_is_followed_by_nobody_while_there_is_another()
    {
        var first = Node with { Name = NodeName.Parse("node-a"), Location = Location.Parse("eu/a") };
        foreach (var node in new[] { first, first with { Name = NodeName.Parse("node-b") } })
        {
            await DeliverAsync("/v1/events/eu/a", Snapshot() with { Node = node });
        }

        AssertTold(0, null, (await FetchAsync("node-a", isLarge: true)).Follow);
        AssertTold(1, first, (await FetchAsync("node-b", isLarge: true, isSlow: true)).Follow);

        AssertTold(1, first, (await FetchAsync("node-c", isLarge: true)).Follow);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Where_a_node_of_the_zone_holds_it_the_asker_follows_only_with_something_large(bool isLarge)
    {
        var holder = Node with { Location = Location.Parse("eu/a") };
        await DeliverAsync("/v1/events/eu/a", Snapshot(Layer) with { Node = holder });

        var answer = await FetchAsync("node-c", isLarge);

        Assert.Equal(holder, Assert.Single(answer.Keys[0].Holders).Node);
        Assert.Equal(isLarge ? holder : null, answer.Follow?.Parent);
        Assert.Equal(isLarge, answer.Follow is not null);
    }

    [Fact]
    public async Task Whom_to_follow_is_told_for_one_digest_of_the_resolvers_own_zone()
    {
        var question = Question(Layer) with { Fetching = new Fetching(IsLarge: true) };
        foreach (var keys in new ContentKey[][] { [Layer, Layer], [ContentKey.Parse("docker.io/library/nobody:1")] })
        {
            var bad = JsonSerializer.Serialize(question with { Keys = keys }, ContractsJson.Default.ResolveRequest);
            Assert.Equal(HttpStatusCode.BadRequest, (await PostAsync(bad)).StatusCode);
        }

        Assert.Null((await ResolveAsync(question with { Location = Location.Parse("eu/b") })).Follow);
        Assert.NotNull((await ResolveAsync(question)).Follow);
    }

    [Fact]
    public async Task A_node_that_has_failed_is_followed_no_more()
    {
        await DeliverAsync("/v1/events/eu/a", Snapshot() with { Node = Node with { Location = Location.Parse("eu/a") } });
        await FollowAsync("node-b");
        await FollowAsync("node-c");

        AssertTold(0, null, await FollowAsync("node-c", "node-b"));
        Assert.Equal([NodeName.Parse("node-c")], (await InFlightAsync($"eu/a/{Layer}")).Nodes.Select(node => node.Node));
    }

    [Theory]
    [InlineData("eu/b/{0}")]
    public async Task Nobody_is_in_flight_with_what_nobody_has_asked_for(string what)
    {
        await FollowAsync("node-b");

        Assert.Empty((await InFlightAsync(string.Format(System.Globalization.CultureInfo.InvariantCulture, what, Layer))).Nodes);
        Assert.Equal(1, _store.Count);
    }

    [Fact]
    public async Task While_the_store_is_down_nobody_is_told_whom_to_follow_and_who_is_in_flight()
    {
        _store.IsDown = true;

        using var follow = await PostAsync(JsonSerializer.Serialize(Follow("node-b"), ContractsJson.Default.FollowRequest), FollowRequest.Method);
        using var inFlight = await _http.GetAsync($"/v1/in-flight/eu/a/{Layer}");

        Assert.All([follow, inFlight], response => Assert.Equal(HttpStatusCode.ServiceUnavailable, response.StatusCode));
        Assert.All([follow, inFlight], response => Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType));
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("""{"node":"node-b","location":"eu/a","digest":"{0}"}""")]
    [InlineData("""{"node":"node-b","location":"eu/a","digest":"{0}","failed":[null]}""")]
    [InlineData("""{"node":"node-b","location":"eu/a","digest":"docker.io/library/app:1","failed":[]}""")]
    [InlineData("""{"node":"node-b","location":"eu/b","digest":"{0}","failed":[]}""")]
    public async Task A_bad_question_whom_to_follow_gets_400_and_one_line_that_says_why(string body)
    {
        using var response = await PostAsync(body.Replace("{0}", Layer.ToString(), StringComparison.Ordinal), FollowRequest.Method);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        var detail = (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("detail").GetString()!;
        Assert.NotEmpty(detail);
        Assert.DoesNotContain('\n', detail);
        Assert.Equal(0, _store.Count);
    }

    [Fact]
    public async Task Too_many_nodes_in_a_question_get_400_and_the_longest_names_are_taken()
    {
        var name = string.Join('.', Enumerable.Repeat(new string('x', 63), 4))[..250];
        string[] failed = [.. Enumerable.Range(10, FollowRequest.MaxFailed + 1).Select(i => $"{name}-{i}")];

        using var refused = await PostAsync(JsonSerializer.Serialize(Follow($"{name}-00", failed), ContractsJson.Default.FollowRequest), FollowRequest.Method);
        using var tooManyDeclined = await PostAsync(
            JsonSerializer.Serialize(Follow($"{name}-00") with { Declined = [.. failed.Select(NodeName.Parse)] }, ContractsJson.Default.FollowRequest), FollowRequest.Method);
        using var most = await PostAsync(
            JsonSerializer.Serialize(
                Follow($"{name}-01", failed[1..]) with
                {
                    Declined = [.. failed[1..].Select(NodeName.Parse)],
                    Holders = [.. failed[..FollowRequest.MaxHolders].Select(NodeName.Parse)],
                },
                ContractsJson.Default.FollowRequest),
            FollowRequest.Method);
        using var tooLarge = await PostAsync(new string(' ', 100 * 1024), FollowRequest.Method);

        Assert.Equal(HttpStatusCode.OK, most.StatusCode);
        Assert.All([refused, tooManyDeclined, tooLarge], response => Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode));
        AssertTold(0, null, await FollowAsync($"{name}-00", failed[1..]));
    }

    [Theory]
    [InlineData("eu/b/node-b", true)]
    [InlineData("eu/b/node-a", false)]
    [InlineData("eu/a/node-b", false)]
    [InlineData("us/x/node-b", false)]
    public async Task Whether_a_node_is_alive_and_in_reach_is_told_with_its_identity(string node, bool isKnown)
    {
        await DeliverAsync("/v1/events/eu/b", Snapshot(Layer));

        var answer = await _http.GetFromJsonAsync($"/v1/nodes/{node}", ContractsJson.Default.NodeAnswer);

        Assert.Equal(node, answer!.Asked.ToString());
        Assert.Equal(isKnown ? Node : null, answer.Node);
    }

    [Theory]
    [InlineData("nodes/eu/b/Node B")]
    [InlineData("in-flight/eu/a/sha256:0")]
    [InlineData("in-flight/eu/No%20Zone/sha256:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9")]
    public async Task A_question_about_what_is_no_node_and_no_content_gets_404(string path)
    {
        using var response = await _http.GetAsync($"/v1/{path}");

        Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
    }

    [Fact]
    public async Task While_the_store_is_down_no_node_is_told()
    {
        _store.IsDown = true;

        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await _http.GetAsync("/v1/nodes/eu/b/node-b")).StatusCode);
    }

    [Theory]
    [InlineData("Zones:Mode", "none")]
    [InlineData("Kubernetes:Kubeconfig", "/no/such/file")]
    [InlineData("Resolver:Zone", "No Zone")]
    [InlineData("Resolver:Region", "")]
    [InlineData("Resolver:Reach:0", "eu")]
    [InlineData("Resolver:Reach:0", "*/a")]
    [InlineData("Resolver:Reach:0", "No Region/*")]
    [InlineData("Resolver:LeaseDuration", "00:00:00")]
    [InlineData("Resolver:CacheDuration", "-00:00:01")]
    [InlineData("Resolver:MaxHoldersPerKey", "0")]
    [InlineData("Resolver:MaxFollowers", "0")]
    public async Task A_wrong_setting_stops_it_with_a_line_that_names_it(string key, string value)
    {
        await DisposeAppAsync();

        var failure = await Assert.ThrowsAsync<OptionsValidationException>(() => StartAsync((key, value)));

        Assert.Contains(failure.Failures, line => line.StartsWith(key.Replace(":0", "", StringComparison.Ordinal), StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("other-store", "state.redis", "ETAG", "has no component 'holder-store'")]
    [InlineData("holder-store", "pubsub.redis", "ETAG", "must be a state store")]
    [InlineData("holder-store", "state.memcached", "TTL", "has no ETags")]
    [InlineData("holder-store", "state.redis", "ETAG", null)]
    public void A_store_that_will_not_do_is_named(string name, string type, string capability, string? problem)
    {
        var found = StoreCheck.Problem(new DaprMetadata("resolver-a", [], new Dictionary<string, string>(), [new DaprComponentsMetadata(name, type, "v1", [capability])]));

        Assert.True(problem is null ? found is null : found!.Contains(problem, StringComparison.Ordinal), found);
    }

    private static ResolveRequest Question(params ContentKey[] keys) => new(NodeName.Parse("node-a"), Location.Parse("eu/a"), keys);

    private static SnapshotEvent Snapshot(params ContentKey[] keys) =>
        new() { Node = Node, Epoch = 1, Sequence = 1, Chunk = 0, Chunks = 1, Keys = [.. keys.Select(key => new HeldKey(key))] };

    private async Task<string> DeliverAsync(string route, LayerEvent layerEvent)
    {
        using var body = new ByteArrayContent(ResolverReplica.Envelope(layerEvent, LayerTopics.Events(Location.Parse(route["/v1/events/".Length..]))));
        var response = await _http.PostAsync(route, body);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return (await response.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("status").GetString()!;
    }

    private Task<ResolveAnswer> FetchAsync(string node, bool isLarge, bool isSlow = false) =>
        ResolveAsync(Question(Layer) with { Node = NodeName.Parse(node), Fetching = new Fetching(isLarge, IsSlow: isSlow) });

    private Task<ResolveAnswer> ResolveAsync(params ContentKey[] keys) => ResolveAsync(Question(keys));

    private async Task<ResolveAnswer> ResolveAsync(ResolveRequest question)
    {
        var response = await PostAsync(JsonSerializer.Serialize(question, ContractsJson.Default.ResolveRequest));
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return (await response.Content.ReadFromJsonAsync(ContractsJson.Default.ResolveAnswer))!;
    }

    private static void AssertTold(int depth, NodeIdentity? parent, FollowAnswer? answer) => Assert.Equal((depth, parent), (answer?.Depth, answer?.Parent));

    private static FollowRequest Follow(string node, params string[] failed) =>
        new(NodeName.Parse(node), Location.Parse("eu/a"), Layer.Digest!.Value, [.. failed.Select(NodeName.Parse)]);

    private async Task<FollowAnswer> FollowAsync(string node, params string[] failed)
    {
        using var response = await PostAsync(JsonSerializer.Serialize(Follow(node, failed), ContractsJson.Default.FollowRequest), FollowRequest.Method);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return (await response.Content.ReadFromJsonAsync(ContractsJson.Default.FollowAnswer))!;
    }

    private async Task<InFlightAnswer> InFlightAsync(string what) =>
        (await _http.GetFromJsonAsync($"/v1/in-flight/{what}", ContractsJson.Default.InFlightAnswer))!;

    private async Task<HttpResponseMessage> PostAsync(string question, string method = ResolveRequest.Method)
    {
        using var body = new StringContent(question, Encoding.UTF8, "application/json");
        return await _http.PostAsync("/" + method, body);
    }

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        for (var deadline = DateTime.UtcNow.AddSeconds(30); !await condition(); await Task.Delay(20))
        {
            Assert.True(DateTime.UtcNow < deadline, "It has not happened in time.");
        }
    }

    private async Task DisposeAppAsync()
    {
        await _app!.DisposeAsync();
        _app = null;
    }

    private async Task StartAsync(params (string Key, string Value)[] settings)
    {
        // Another process may take a free port before it is listened on.
        for (var attempt = 1; ; attempt++)
        {
            var app = ResolverService.Create([], builder =>
            {
                builder.Configuration.AddInMemoryCollection(new Dictionary<string, string?>
                {
                    ["App:Url"] = Loopback.FreeUri().ToString().TrimEnd('/'),
                    ["Telemetry:Url"] = Loopback.FreeUri().ToString().TrimEnd('/'),
                    ["DAPR_GRPC_ENDPOINT"] = Loopback.FreeUri().ToString(),
                    ["DAPR_HTTP_ENDPOINT"] = Loopback.FreeUri().ToString(),
                    ["Resolver:Region"] = "eu",
                    ["Resolver:Zone"] = "a",
                    ["Resolver:Reach:0"] = "eu/a",
                    ["Resolver:Reach:1"] = "eu/b",
                    ["Kubernetes:Enabled"] = "false",
                    ["Logging:LogLevel:Default"] = "None",
                });
                builder.Configuration.AddInMemoryCollection(settings.ToDictionary(setting => setting.Key, setting => (string?)setting.Value));
                builder.Services.AddSingleton<IHolderStore>(_store);
                builder.Services.AddSingleton(_time);
                if (_sidecar is not null)
                {
                    builder.Services.AddSingleton<ISidecar>(_sidecar);
                }
            });
            if (_log is not null)
            {
                app.Services.GetRequiredService<ILoggerFactory>().AddProvider(_log);
            }

            try
            {
                await app.StartAsync();
                _app = app;
                _http.Dispose();
                _http = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { BaseAddress = new Uri(app.Configuration["App:Url"]!) };
                return;
            }
            catch (IOException) when (attempt < 5)
            {
                await app.DisposeAsync();
            }
            catch
            {
                await app.DisposeAsync();
                throw;
            }
        }
    }
}
