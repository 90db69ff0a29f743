using System.Net;
using System.Net.Http.Json;
using SpegelDapr.LocalDapr.Tests.Support;

namespace SpegelDapr.LocalDapr.Tests.Conformance;

public sealed class InvocationTests
{
    [Fact]
    public async Task A_call_by_path_reaches_the_app_with_method_query_header_and_body()
    {
        await using var runtime = await Runtime.StartAsync(Backend.InMemory);
        var caller = await runtime.StartAppAsync("caller");
        await runtime.StartAppAsync("target");

        using var request = new HttpRequestMessage(HttpMethod.Put, "/v1.0/invoke/target/method/some/path?q=1") { Content = new StringContent("hello") };
        request.Headers.Add("x-test", "kept");
        var answer = await caller.Http.SendAsync(request);

        var echo = await EchoAsync(answer);
        Assert.Equal(("target", "PUT", "/some/path", "?q=1"), (echo["app"], echo["method"], echo["path"], echo["query"]));
        Assert.Equal(("hello", "kept", "caller"), (echo["body"], echo["header"], echo["caller"]));
        Assert.Equal("target", answer.Headers.GetValues("x-app").Single());
    }

    [Fact]
    public async Task A_call_by_header_keeps_its_path()
    {
        await using var runtime = await Runtime.StartAsync(Backend.InMemory);
        var caller = await runtime.StartAppAsync("caller");
        await runtime.StartAppAsync("target");

        using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/resolve?x=y");
        request.Headers.Add("dapr-app-id", "target");

        var echo = await EchoAsync(await caller.Http.SendAsync(request));
        Assert.Equal(("target", "/v1/resolve", "?x=y"), (echo["app"], echo["path"], echo["query"]));
    }

    [Fact]
    public async Task The_status_and_body_of_the_app_come_back()
    {
        await using var runtime = await Runtime.StartAsync(Backend.InMemory);
        var caller = await runtime.StartAppAsync("caller");
        await runtime.StartAppAsync("target");

        var answer = await caller.Http.GetAsync("/v1.0/invoke/target/method/x?status=418");

        Assert.Equal(418, (int)answer.StatusCode);
        Assert.Equal("target", (await answer.Content.ReadFromJsonAsync<Dictionary<string, string>>())!["app"]);
    }

    [Fact]
    public async Task The_client_of_the_SDK_calls_an_app()
    {
        await using var runtime = await Runtime.StartAsync(Backend.InMemory);
        var caller = await runtime.StartAppAsync("caller");
        await runtime.StartAppAsync("target");

        using var http = caller.Dapr.CreateInvokableHttpClient("target");
        var echo = await http.GetFromJsonAsync<Dictionary<string, string>>("/deep/path");

        Assert.Equal("/deep/path", echo!["path"]);
    }

    [Fact]
    public async Task Instances_of_an_app_take_turns()
    {
        await using var runtime = await Runtime.StartAsync(Backend.InMemory);
        var caller = await runtime.StartAppAsync("caller");
        var ports = new HashSet<string> { $"{(await runtime.StartAppAsync("target")).Port}", $"{(await runtime.StartAppAsync("target")).Port}" };

        var seen = new HashSet<string>();
        await Eventually.TrueAsync(async () =>
        {
            seen.Add((await EchoAsync(await caller.Http.GetAsync("/v1.0/invoke/target/method/x")))["port"]);
            return seen.Count == 2;
        });

        Assert.Equal(ports, seen);
    }

    [Fact]
    public async Task An_app_that_is_not_there_is_an_error_of_Dapr()
    {
        await using var runtime = await Runtime.StartAsync(Backend.InMemory);
        var caller = await runtime.StartAppAsync("caller");

        var answer = await caller.Http.GetAsync("/v1.0/invoke/nobody/method/x");

        Assert.Equal((HttpStatusCode.InternalServerError, "ERR_DIRECT_INVOKE"), (answer.StatusCode, await Runtime.ErrorCodeAsync(answer)));
    }

    [Theory]
    [InlineData("callee.default", HttpStatusCode.OK)]
    [InlineData("callee.elsewhere", HttpStatusCode.InternalServerError)]
    public async Task An_id_may_name_its_namespace(string id, HttpStatusCode expected)
    {
        await using var runtime = await Runtime.StartAsync(Backend.InMemory);
        var caller = await runtime.StartAppAsync("caller");
        await runtime.StartAppAsync("callee");

        Assert.Equal(expected, (await caller.Http.GetAsync($"/v1.0/invoke/{id}/method/a")).StatusCode);
    }

    [Theory]
    [InlineData("/v1.0/invoke/callee/method/a", HttpStatusCode.InternalServerError)]
    [InlineData("/v1.0/publish/events/orders", HttpStatusCode.InternalServerError)]
    [InlineData("/v1.0/state/store", HttpStatusCode.BadRequest)]
    public async Task A_body_over_4_MiB_is_refused(string path, HttpStatusCode expected)
    {
        await using var runtime = await Runtime.StartAsync(Backend.InMemory);
        var caller = await runtime.StartAppAsync("caller");
        await runtime.StartAppAsync("callee");

        using var body = new ByteArrayContent(new byte[(4 * 1024 * 1024) + 1]);
        Assert.Equal(expected, (await caller.Http.PostAsync(path, body)).StatusCode);
    }

    [Fact]
    public async Task Tokens_are_asked_of_callers_and_given_to_apps()
    {
        await using var runtime = await Runtime.StartAsync(Backend.InMemory);
        var caller = await runtime.StartAppAsync("caller", apiToken: "mine");
        await runtime.StartAppAsync("target", appToken: "theirs");

        Assert.Equal("theirs", (await EchoAsync(await caller.Http.GetAsync("/v1.0/invoke/target/method/x")))["token"]);
        await caller.Dapr.SaveStateAsync("store", "a", 1);
        caller.Http.DefaultRequestHeaders.Clear();
        Assert.Equal(HttpStatusCode.Unauthorized, (await caller.Http.GetAsync("/v1.0/metadata")).StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, (await caller.Http.GetAsync("/v1.0/healthz")).StatusCode);
    }

    private static async Task<Dictionary<string, string>> EchoAsync(HttpResponseMessage answer) =>
        (await answer.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<Dictionary<string, string>>())!;
}
