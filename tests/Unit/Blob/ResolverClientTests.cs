using System.Diagnostics.Metrics;
using Dapr.Client;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob;
using SpegelDapr.Blob.Holders;
using SpegelDapr.Contracts;
using SpegelDapr.ServiceDefaults;

namespace SpegelDapr.Unit.Blob;

public sealed class ResolverClientTests
{
    [Fact]
    public async Task What_the_sidecar_says_is_in_the_way_is_logged_in_one_line()
    {
        await using var sidecar = await FakeResolver.StartAsync();
        sidecar.Failing = context =>
        {
            context.Response.StatusCode = StatusCodes.Status403Forbidden;
            return context.Response.WriteAsync($"access control policy\nhas denied access{new string('.', 1000)}");
        };
        await using var services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        using var dapr = new DaprClientBuilder().UseHttpEndpoint(sidecar.Uri.ToString()).Build();
        var logger = new CollectingLogger();
        using var client = new ResolverClient(
            dapr,
            Options.Create(new NodeOptions { Name = "node-a", Region = "eu", Zone = "a", Address = "http://127.0.0.1:1" }),
            Options.Create(new BlobOptions { ResolveBudget = TimeSpan.FromSeconds(30) }),
            new BlobMetrics(services.GetRequiredService<IMeterFactory>()),
            TimeProvider.System,
            logger);

        Assert.Null(await client.ResolveAsync([ContentKey.Parse(Digest.OfSha256([1]).ToString())], CancellationToken.None));

        var warning = Assert.Single(logger.Warnings);
        Assert.Contains("403 access control policy has denied access", warning, StringComparison.Ordinal);
        Assert.True(warning.Length < 700, warning);
    }
}
