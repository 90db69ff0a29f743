using SpegelDapr.EndToEnd.Harness;
using StackExchange.Redis;

namespace SpegelDapr.EndToEnd;

/// <summary>What sidecars that have ended leave in a broker.</summary>
public sealed class LeftoverTests
{
    private const int Restarts = 5;

    [RealFact]
    public async Task Nothing_in_Redis_grows_with_restarts()
    {
        using var directory = new TestDirectory();
        await using var backend = new Backend(directory, set: Backend.Redis);
        await backend.StartAsync();
        await using var redis = await ConnectionMultiplexer.ConnectAsync(backend.RedisAddress);
        await using var zone = await InProcessZone.StartAsync([backend.WriteResources()], nodes: 2);
        await Task.WhenAll(zone.Nodes.Select(node => node.Discovery.StartAsync()));
        await Eventually.HoldsAsync("events and wishes are heard", async () => await CountAsync(redis) == (2, 2));

        for (var i = 0; i < Restarts; i++)
        {
            await zone.RestartSidecarsAsync();
        }

        Assert.Equal((2, 2), await CountAsync(redis));
    }

    private static async Task<(int Streams, int Groups)> CountAsync(ConnectionMultiplexer redis)
    {
        var (database, server) = (redis.GetDatabase(), redis.GetServers()[0]);
        var (streams, groups) = (0, 0);
        await foreach (var key in server.KeysAsync())
        {
            if (await database.KeyTypeAsync(key) == RedisType.Stream)
            {
                (streams, groups) = (streams + 1, groups + (await database.StreamGroupInfoAsync(key)).Length);
            }
        }

        return (streams, groups);
    }
}
