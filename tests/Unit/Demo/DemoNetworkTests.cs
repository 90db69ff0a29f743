using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using SpegelDapr.Cli.Demo;
using SpegelDapr.Contracts;

namespace SpegelDapr.Unit.Demo;

public sealed class DemoNetworkTests
{
    private const long Rate = 100_000_000;

    private static readonly NodeName First = NodeName.Parse("node-a1");
    private static readonly NodeName Second = NodeName.Parse("node-a2");
    private static readonly Digest Layer = Digest.OfSha256([1]);
    private static readonly Digest Other = Digest.OfSha256([2]);

    [Fact]
    public void The_last_nodes_of_a_storm_are_slow()
    {
        var rates = new StormPlan(Nodes: 4, Held: 1, Slow: 2).Rates(1000);

        Assert.Equal([1000, 1000, 100, 100], rates.OrderBy(rate => rate.Key.ToString(), StringComparer.Ordinal).Select(rate => rate.Value));
    }

    [Fact]
    public async Task It_knows_who_fed_whom()
    {
        await using var network = NetworkOfTwo();
        network.Begin();

        await SendAsync(network.LimitRegistry, "GET", Second, Layer, 1000);
        await SendAsync(app => FromNode(network, app), "GET", Second, Layer, 40_000);
        await SendAsync(app => FromNode(network, app), "GET", Second, Other, 5);
        await SendAsync(network.LimitRegistry, "HEAD", Second, Layer, 0);

        Assert.Equal([new DemoFeed("node-a1", 40_000), new DemoFeed(null, 1000)], network.FeedsOf(Second, [Layer]));
        Assert.Equal([new DemoFeed("node-a1", 40_005), new DemoFeed(null, 1000)], network.FeedsOf(Second, [Layer, Other]));
        Assert.Empty(network.FeedsOf(First, [Layer]));
        Assert.Equal(1, network.RegistryGetsOf(Layer));
        Assert.Equal(First, network.LatestOf(Second));
    }

    [Fact]
    public async Task What_is_sent_before_it_begins_does_not_count()
    {
        await using var network = NetworkOfTwo();

        await SendAsync(network.LimitRegistry, "GET", First, Layer, 1000);

        Assert.Empty(network.FeedsOf(First, [Layer]));
        Assert.Equal(0, network.RegistryGetsOf(Layer));
    }

    private static DemoNetwork NetworkOfTwo() => new(Rate, new Dictionary<NodeName, long> { [First] = Rate, [Second] = Rate });

    private static void FromNode(DemoNetwork network, IApplicationBuilder app) => network.LimitNode(First).Configure(_ => { })(app);

    private static async Task SendAsync(Action<IApplicationBuilder> limit, string method, NodeName to, Digest digest, int bytes)
    {
        await using var services = new ServiceCollection().BuildServiceProvider();
        var app = new ApplicationBuilder(services);
        limit(app);
        app.Run(context => context.Response.Body.WriteAsync(new byte[bytes]).AsTask());
        using var received = new MemoryStream();
        var context = new DefaultHttpContext { Response = { Body = received } };
        context.Request.Method = method;
        context.Request.Path = $"/v2/app/blobs/{digest}";
        context.Request.Headers[SpegelHeaders.Peer] = new PeerClaim(Location.Parse("demo/zone-a"), to).ToString();

        await app.Build()(context);

        Assert.Equal(bytes, received.Length);
    }
}
