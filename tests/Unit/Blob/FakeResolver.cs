using System.Collections.Concurrent;
using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Blob;

/// <summary>
/// Stands where the Dapr sidecar stands and answers the methods of <c>/v1.0/invoke/resolver-a/method/</c> (Dapr's service invocation API) with
/// what a test says. It knows nothing of leases, brokers or stores.
/// </summary>
internal sealed class FakeResolver : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ConcurrentDictionary<ContentKey, ResolvedKey> _known = new();

    private FakeResolver(WebApplication app) => _app = app;

    /// <summary>Whom a node that is about to fetch something is told to follow; without it, that it leads.</summary>
    public Func<FollowRequest, FollowAnswer>? Following { get; set; }

    /// <summary>Whether it says whom to follow also in answers to <see cref="Questions"/> of nodes that are about to fetch something.</summary>
    public bool FollowsAtOnce { get; set; }

    /// <summary>Who is in flight, whatever is asked about.</summary>
    public IReadOnlyList<InFlightNode> InFlight { get; set; } = [];

    /// <summary>The questions whom to follow so far.</summary>
    public ConcurrentQueue<FollowRequest> FollowQuestions { get; } = new();

    public Uri Uri => new(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());

    /// <summary>The nodes that it knows as alive.</summary>
    public ConcurrentDictionary<string, NodeIdentity> Nodes { get; } = new();

    /// <summary>The questions for nodes so far, as their claims.</summary>
    public ConcurrentQueue<string> NodeQuestions { get; } = new();

    /// <summary>The questions so far.</summary>
    public ConcurrentQueue<ResolveRequest> Questions { get; } = new();

    /// <summary>Ends a question's answer, for as long as it is set.</summary>
    public Func<HttpContext, Task>? Failing { get; set; }

    public static async Task<FakeResolver> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        var resolver = new FakeResolver(app);
        app.Run(resolver.AnswerAsync);
        await app.StartAsync();
        return resolver;
    }

    public void Holds(ContentKey key, params Holder[] holders) => _known[key] = new ResolvedKey(key, holders);

    /// <summary>Knows a node as alive under a claim; as itself if no other identity is given.</summary>
    public void Knows(NodeIdentity node, NodeIdentity? answer = null) => Nodes[new PeerClaim(node.Location, node.Name).ToString()] = answer ?? node;

    public void Tags(string tag, Digest digest, params Holder[] holders)
    {
        var key = ContentKey.Parse(tag);
        _known[key] = new ResolvedKey(key, holders, digest);
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        if (context.Request.Path.StartsWithSegments("/v1.0/invoke/resolver-a/method/v1/nodes", out var node))
        {
            Assert.True(PeerClaim.TryParse(node.Value!.TrimStart('/'), out var claim));
            NodeQuestions.Enqueue(claim.ToString());
            var known = new NodeAnswer(claim, Nodes.GetValueOrDefault(claim.ToString()));
            await context.Response.WriteAsync(JsonSerializer.Serialize(known, ContractsJson.Default.NodeAnswer), Encoding.UTF8);
            return;
        }

        if (context.Request.Path.StartsWithSegments("/v1.0/invoke/resolver-a/method/v1/in-flight", out var content))
        {
            var digest = Digest.Parse(content.Value!.Split('/')[^1]);
            await context.Response.WriteAsync(JsonSerializer.Serialize(new InFlightAnswer(digest, InFlight), ContractsJson.Default.InFlightAnswer), Encoding.UTF8);
            return;
        }

        if (context.Request.Path == "/v1.0/invoke/resolver-a/method/v1/follow")
        {
            var asker = (await JsonSerializer.DeserializeAsync(context.Request.Body, ContractsJson.Default.FollowRequest))!;
            FollowQuestions.Enqueue(asker);
            var told = Following?.Invoke(asker) ?? new FollowAnswer(asker.Digest, 0);
            await context.Response.WriteAsync(JsonSerializer.Serialize(told, ContractsJson.Default.FollowAnswer), Encoding.UTF8);
            return;
        }

        if (context.Request.Path != "/v1.0/invoke/resolver-a/method/v1/resolve")
        {
            context.Response.StatusCode = (int)HttpStatusCode.NotFound;
            return;
        }

        var question = (await JsonSerializer.DeserializeAsync(context.Request.Body, ContractsJson.Default.ResolveRequest))!;
        Questions.Enqueue(question);
        if (Failing is { } failing)
        {
            await failing(context);
            return;
        }

        var answer = new ResolveAnswer([.. question.Keys.Select(key => _known.GetValueOrDefault(key) ?? new ResolvedKey(key, []))]);
        if (FollowsAtOnce && question.Fetching is not null)
        {
            var digest = question.Keys[0].Digest!.Value;
            answer = answer with { Follow = Following?.Invoke(new FollowRequest(question.Node, question.Location, digest, [])) ?? new FollowAnswer(digest, 0) };
        }

        context.Response.ContentType = "application/json";
        await context.Response.WriteAsync(JsonSerializer.Serialize(answer, ContractsJson.Default.ResolveAnswer), Encoding.UTF8);
    }
}
