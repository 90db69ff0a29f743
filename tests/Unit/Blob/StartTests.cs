using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using SpegelDapr.Blob.Local;
using SpegelDapr.Blob;

namespace SpegelDapr.Unit.Blob;

/// <summary>What blob does before the first pull.</summary>
public sealed class StartTests : BlobTests
{
    [Fact]
    public async Task It_asks_the_resolver_a_first_question_so_that_the_first_pull_finds_the_way_there()
    {
        var node = Add(await BlobNode.StartAsync(Resolver));

        for (var deadline = DateTime.UtcNow.AddSeconds(20); Resolver.NodeQuestions.IsEmpty; await Task.Delay(10))
        {
            Assert.True(DateTime.UtcNow < deadline, "It has not asked.");
        }

        Assert.EndsWith("/node-a", Assert.Single(Resolver.NodeQuestions), StringComparison.Ordinal);
        Assert.Empty(Resolver.Questions);
        Assert.NotNull(node);
    }

    [Theory]
    [InlineData(HealthStatus.Healthy, "blobs")]
    [InlineData(HealthStatus.Healthy, "ingest")]
    [InlineData(HealthStatus.Unhealthy, "somewhere-else")]
    public async Task It_is_ready_beside_a_containerd_that_has_never_committed_anything(HealthStatus expected, string existing)
    {
        var directory = Directory.CreateTempSubdirectory("spegel-dapr-test-");
        directory.CreateSubdirectory(existing);

        var result = await new ContentReadableCheck(
            Options.Create(new BlobOptions { ContentPath = directory.FullName }), NullLogger<ContentReadableCheck>.Instance).CheckHealthAsync(new HealthCheckContext());

        directory.Delete(recursive: true);
        Assert.Equal(expected, result.Status);
    }
}
